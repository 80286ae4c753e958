"""`lineage`: the tables and columns that SQL files read and write."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.markup import escape

from cli.context import files_there
from cli.output import err, out, plural
from shared.errors import BadInput
from shared.settings.redact_sql import redact_code

Schemas = dict[str, dict[str, str]]
MAX_BYTES = 8 * 1024 * 1024


@click.command(short_help="What SQL files read and write, to the column.")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--dialect", required=True, metavar="D", help="tsql, postgres, mysql, oracle, snowflake, bigquery ...")
@click.option(
    "--schema", "schema_file", type=click.Path(path_type=Path, dir_okay=False), help='{"table": {"column": "type"}}.'
)
@click.option("--database", default="", metavar="D", help="For names without a database.")
@click.option("--default-schema", default="", metavar="S", help="For names without a schema.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a file.")
def lineage(
    files: tuple[Path, ...], dialect: str, schema_file: Path | None, database: str, default_schema: str, as_json: bool
) -> None:
    """Tables and columns in and out of SQL files. What was not understood is told; the exit code is then 1."""
    from connectors.formats.sql_text import decode
    from shared.lineage import analyze

    files_there(files)
    schemas = _schemas(schema_file) if schema_file else None
    incomplete = False
    for path in files:
        data = path.read_bytes()
        if len(data) > MAX_BYTES:
            raise BadInput(f"the script is larger than {MAX_BYTES:,} bytes", where=str(path), fix="split it")
        text = decode(data)
        if text is None:
            raise BadInput("the file is binary, not a script", where=str(path), fix="give a text file")
        result = analyze(
            redact_code(text),
            dialect=dialect,
            default_database=database or None,
            default_schema=default_schema or None,
            schemas=schemas,
        )
        shown = printable(str(path), result)
        incomplete = incomplete or bool(result.problems)
        if as_json:
            sys.stdout.write(msgspec.json.encode(shown).decode() + "\n")
        else:
            _show(shown)
    sys.exit(1 if incomplete else 0)


def printable(file: str, result: Any) -> dict[str, Any]:
    """The JSON of one file: names as text, statements with what each of them moves."""

    def columns(found: Any) -> list[dict[str, Any]]:
        return [
            {
                "output": {"table": str(c.output.table), "column": c.output.column},
                "inputs": [
                    {"table": str(i.table), "column": i.column, "expression": i.expression, "kind": i.kind}
                    for i in c.inputs
                ],
            }
            for c in found
        ]

    return {
        "file": file,
        "inputs": [str(t) for t in result.inputs],
        "outputs": [str(t) for t in result.outputs],
        "columns": columns(result.columns),
        "statements": [
            {
                "kind": s.kind,
                "line": s.line,
                "inputs": [str(t) for t in s.inputs],
                "outputs": [str(t) for t in s.outputs],
                "columns": columns(s.columns),
            }
            for s in result.statements
        ],
        "problems": [{"place": p.place, "reason": p.reason} for p in result.problems],
    }


def _show(shown: dict[str, Any]) -> None:
    out.print(f"[bold]{escape(shown['file'])}[/bold]")
    for title in ("inputs", "outputs"):
        out.print(f"  {title}: {escape(', '.join(shown[title])) or '-'}")
    table = ""
    for column in shown["columns"]:
        if column["output"]["table"] != table:
            table = column["output"]["table"]
            out.print(f"  [bold]{escape(table)}[/bold]")
        sources = [
            f"{i['table']}.{i['column']}"
            + (f"  [dim]{escape(_short(i['expression']))}[/dim]" if i["kind"] != "copy" else "")
            for i in ({**i, "table": escape(i["table"]), "column": escape(i["column"])} for i in column["inputs"])
        ]
        out.print(f"    {escape(column['output']['column'])} <- {', '.join(sources)}")
    for problem in shown["problems"]:
        err.print(
            f"[yellow]not known[/yellow] {escape(shown['file'])}, {problem['place']}: {escape(problem['reason'])}"
        )
    err.print(f"[dim]{plural(len(shown['statements']), 'statement')}, {plural(len(shown['columns']), 'column')}[/dim]")


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."


def _schemas(path: Path) -> Schemas:
    """Raises BadInput."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Schemas)
    except msgspec.DecodeError as error:
        raise BadInput(
            f"not a schema: {error}", where=str(path), fix='it is {"schema.table": {"column": "type"}}'
        ) from error
