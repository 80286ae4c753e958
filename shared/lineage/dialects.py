"""What people call SQL dialects, and what sqlglot calls them. Costs nothing to import."""

from __future__ import annotations

_ALIASES = {
    **dict.fromkeys(("sqlserver", "sql_server", "mssql", "azuresql", "azure_sql", "synapse"), "tsql"),
    **dict.fromkeys(("postgresql", "pg", "plpgsql"), "postgres"),
    "plsql": "oracle",
    "mariadb": "mysql",
    "sparksql": "spark",
    "ansi": "",
}


def canonical(name: str) -> str:
    """Sqlglot's name for a dialect; a name that is not known comes back in lower case."""
    wanted = name.strip().lower()
    return _ALIASES.get(wanted, wanted)
