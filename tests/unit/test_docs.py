"""The documentation against the code: links, settings, names, rules, states, commands.

A page that says what the code does not do is a bug like any other. Tables of names are made from the code:
HOOKLINE_UPDATE_GOLDEN=1 rewrites them.
"""

from __future__ import annotations

import ast
import functools
import os
import re
import textwrap
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import click
import msgspec
import pytest
import yaml

from connectors import SOURCES, source_class
from shared import errors
from shared.naming import Naming
from shared.naming.platforms import PLATFORMS, find
from shared.naming.platforms.rdbms import RELATIONAL
from shared.records import Address
from shared.settings import (
    Hook,
    Instance,
    KeyVault,
    Limits,
    Place,
    Purview,
    ReceiptSettings,
    Secret,
    Secrets,
    connector_settings,
    from_mapping,
)

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
GUIDE = DOCS / "guide"
NOT_OURS = ("node_modules", "extracted", "landing")


def _markdown() -> list[Path]:
    pages = []
    for folder, below, files in os.walk(ROOT):
        below[:] = [name for name in below if not name.startswith(".") and name not in NOT_OURS]
        pages += [Path(folder, name) for name in files if name.endswith(".md")]
    return sorted(pages)


PAGES = _markdown()
by_path = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def prose(page: Path) -> str:
    """The page without its code blocks."""
    return FENCE.sub("", page.read_text("utf-8"))


def cells(line: str) -> list[str]:
    return [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]


def table(page: Path, heading: str) -> list[list[str]]:
    """The rows of the first table below a heading, without its head."""
    found = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert found, f"{page.name} has no section {heading!r}"
    return rows(found[1])[:]


def rows(text: str) -> list[list[str]]:
    lines: list[str] = []
    for line in text.splitlines():
        if line.startswith("|"):
            lines.append(line)
        elif lines:
            break
    return [cells(line) for line in lines[2:]]


def code(cell: str) -> list[str]:
    """What stands in backticks in a cell."""
    return re.findall(r"`([^`]+)`", cell)


# ---- links, anchors, commands, YAML


def anchors(page: Path) -> set[str]:
    """Anchors of its headings, as GitHub makes them."""
    heads = re.findall(r"^#+ +(.*)$", prose(page), re.MULTILINE)
    plain = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", head) for head in heads)
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in plain}


@by_path
def test_relative_links_resolve(page: Path) -> None:
    broken = []
    for target in LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (anchor and file.suffix == ".md" and anchor not in anchors(file)):
            broken.append(target)
    assert broken == []


@by_path
def test_commands_exist(page: Path) -> None:
    from cli.main import hookline

    known = set(hookline.list_commands(click.Context(hookline)))
    named = set(re.findall(r"\./hookline ([a-z][a-z-]*)\b", page.read_text("utf-8")))
    assert named - known == set()


class _Anything(dict[str, str]):
    """An environment in which every variable is set but those that go before the file."""

    def get(self, key: str, default: Any = None) -> Any:
        return default if key.startswith("HOOKLINE_PURVIEW_") else "value-of-a-variable"

    def __contains__(self, key: object) -> bool:
        return str(key).startswith("HOOKLINE_SECRET_")


@by_path
def test_yaml_is_a_settings_file(page: Path) -> None:
    blocks = [textwrap.dedent(body) for _, kind, body in FENCE.findall(page.read_text("utf-8")) if kind == "yaml"]
    environment = _Anything()
    for block in blocks:
        settings = from_mapping(yaml.safe_load(block), environment, Place(page.name), offline=True)
        assert settings.problems == []
        for name, instance in settings.instances.items():
            connector_settings(settings, name, source_class(instance.connector).Settings, Secrets(None, environment))
            Naming(instance.types, instance.names)  # raises SettingsError for a template that cannot be right


def test_settings_pages_have_yaml() -> None:
    pages = [GUIDE / "configuration.md", GUIDE / "names-and-types.md", GUIDE / "running-in-azure.md"]
    for page in [*pages, *(DOCS / "connectors" / f"{name}.md" for name in SOURCES)]:
        assert "```yaml\n" in page.read_text("utf-8"), page.name


# ---- settings

SECTIONS: dict[str, type[msgspec.Struct]] = {
    "purview": Purview,
    "purview.hook": Hook,
    "secrets": KeyVault,
    "limits": Limits,
    "receipts": ReceiptSettings,
    "instances": Instance,
}


def default_of(field: Any) -> str:
    """A default as the tables write it."""
    if field.required:
        return "required"
    value = field.default_factory() if field.default is msgspec.NODEFAULT else field.default
    if value is None or value == "":
        return "none" if value is None else "empty"
    if isinstance(value, timedelta):
        unit = next(
            (n, u) for n, u in ((86400, "d"), (3600, "h"), (60, "m"), (1, "s")) if value.total_seconds() % n == 0
        )
        return f"`{int(value.total_seconds()) // unit[0]}{unit[1]}`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, (tuple, list)) and not value:
        return "`[]`"
    return "`{}`" if not isinstance(value, (str, int, float)) else f"`{value}`"


def expected(struct: type[msgspec.Struct]) -> dict[str, str]:
    return {f"`{field.encode_name}`": default_of(field) for field in msgspec.structs.fields(struct)}


def options(kind: Any) -> set[str]:
    found = set(get_args(kind)) if get_origin(kind) is Literal else set()
    return found.union(*(options(inner) for inner in get_args(kind) if get_origin(kind) is not Literal))


def check_settings(shown: list[list[str]], struct: type[msgspec.Struct]) -> None:
    assert {row[0]: row[1] for row in shown} == expected(struct)
    meanings = {row[0]: row[2] for row in shown}
    for field in msgspec.structs.fields(struct):
        said = {*code(meanings[f"`{field.encode_name}`"]), default_of(field).strip("`")}
        assert {word for word in options(field.type) if isinstance(word, str)} <= said, field.name


@pytest.mark.parametrize("section", SECTIONS)
def test_every_key_is_documented_with_its_default(section: str) -> None:
    check_settings(table(GUIDE / "configuration.md", section), SECTIONS[section])


@pytest.mark.parametrize("connector", SOURCES)
def test_connector_pages(connector: str) -> None:
    page, kind = DOCS / "connectors" / f"{connector}.md", source_class(connector)
    check_settings(table(page, "Settings"), kind.Settings)
    text = page.read_text("utf-8")
    for heading in ("What is read", "Permissions", "Names", "Lineage", "Limits", "How it was verified"):
        assert f"## {heading}\n" in text
    assert kind.verified.partition(" (")[0] in text.split("## How it was verified")[1]


def test_every_connector_page_is_of_a_connector() -> None:
    assert {page.stem for page in (DOCS / "connectors").glob("*.md")} - {"README"} == set(SOURCES)


@functools.cache
def sources() -> list[tuple[Path, ast.Module]]:
    """The product's modules, parsed."""
    paths = [path for folder in ("shared", "connectors") for path in sorted((ROOT / folder).rglob("*.py"))]
    return [(path, ast.parse(path.read_text("utf-8"))) for path in (ROOT / "function_app.py", *paths)]


def test_keys_without_effect_are_marked_and_no_others() -> None:
    """A key has an effect when something reads an attribute of its name: the model itself, or what uses settings."""
    outside = [tree for path, tree in sources() if path.parent.name != "settings" or path.name == "model.py"]
    read = {node.attr for tree in outside for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    found, marked = set(), set()
    for section, struct in SECTIONS.items():
        unread = section.partition(".")[2] not in {"", *read}
        found |= {f"{section}.{key}" for key in struct.__struct_fields__ if unread or key not in read}
        shown = table(GUIDE / "configuration.md", section)
        marked |= {f"{section}.{code(row[0])[0]}" for row in shown if "No effect yet" in row[2]}
    assert marked == found, "configuration.md marks keys with `No effect yet`"


SETTING = re.compile(r"HOOKLINE_[A-Z_]+|Hookline[A-Z][a-z]+|AzureWebJobsStorage|PurviewHook|AZURE_[A-Z_]+")
SUFFIX = re.compile(r"__[a-z]+[A-Z]\w*|__credential")


def test_every_app_setting_is_documented() -> None:
    texts = {
        node.value
        for _, tree in sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    used = {text for text in texts if SETTING.fullmatch(text)}
    suffixes = {text for text in texts if SUFFIX.fullmatch(text)}
    assert {"HOOKLINE_CONFIG", "HooklineStorage", "HooklineNotifications", "PurviewHook"} <= used
    documented = {
        name.partition("<")[0] for row in table(GUIDE / "configuration.md", "App settings") for name in code(row[0])
    }
    assert {name for name in documented if "__" not in name} == used
    assert {f"__{name.partition('__')[2]}" for name in documented if "__" in name} == suffixes


# ---- names

#: what the table of platforms shows of each: (host, path, address type)
EXAMPLES: dict[str, list[tuple[str, str, str]]] = {
    "postgresql": [
        ("crm.internal", "crm/public/orders", "table"),
        ("x.postgres.database.azure.com", "crm/public/orders", "table"),
        ("x.eu-west-1.rds.amazonaws.com", "crm/public/orders", "table"),
    ],
    "mysql": [("shop.internal", "shop/orders", "table"), ("x.mysql.database.azure.com", "shop/orders", "table")],
    "mssql": [
        ("erp.internal", "ERP/dbo/Orders", "table"),
        ("x.database.windows.net", "ERP/dbo/Orders", "table"),
        ("x.1a2b3c.database.windows.net", "ERP/dbo/Orders", "table"),
        ("x.sql.azuresynapse.net", "POOL/dbo/Orders", "table"),
        ("x-ondemand.sql.azuresynapse.net", "lake/dbo/Orders", "view"),
    ],
    "oracle": [("erp.internal", "SALES/ORDERS", "table")],
    "db2": [("host.internal", "PROD/SALES/ORDERS", "table")],
    "sap_hana": [("hana.internal:30015", "HDB/SALES/ORDERS", "table")],
    "cassandra": [("10.5.0.4:9042", "shop/orders", "table")],
    "mongodb": [("mongo.internal", "shop/orders", "collection")],
    "cosmosdb": [("x.documents.azure.com", "shop/orders", "collection")],
    "kusto": [("x.westeurope.kusto.windows.net", "logs/Events", "table")],
    "snowflake": [("org-acct.snowflakecomputing.com", "SHOP/PUBLIC/ORDERS", "table")],
    "bigquery": [("", "my-project/shop/orders", "table")],
    "teradata": [("td.internal", "shop/orders", "table")],
    "hive": [("adb-1.2.azuredatabricks.net", "shop/orders", "table")],
    "databricks": [("metastore-id", "main/shop/orders", "table")],
    "abfss": [
        ("x.dfs.core.windows.net", "lake/raw/orders.csv", "file"),
        ("x.dfs.core.windows.net", "lake/raw", "folder"),
    ],
    "wasbs": [("x.blob.core.windows.net", "lake/raw/orders.csv", "file")],
    "adl": [("x.azuredatalakestore.net", "raw/orders.csv", "file")],
    "s3": [("", "my-bucket/raw/orders.csv", "file"), ("minio.internal:9000", "my-bucket/raw/orders.csv", "file")],
    "gs": [("", "my-bucket/raw/orders.csv", "file")],
    "file": [("files01", "exports/orders.csv", "file")],
    "hdfs": [("namenode:8020", "exports/orders.csv", "file")],
    "dbfs": [("adb-1.2.azuredatabricks.net", "mnt/raw/orders.csv", "file")],
    "kafka": [("broker:9092", "orders.v1", "topic")],
    "powerbi": [("", "workspace-id/report-id", "report"), ("", "workspace-id/dataset-id/Orders", "table")],
    "salesforce": [("00D000000000001", "Account", "object")],
    "ssis": [
        ("etl01", "Finance/LoadDW/Daily.dtsx", "package"),
        ("etl01", "Finance/LoadDW/Daily.dtsx/Load City", "task"),
    ],
}


def platform_table() -> str:
    spellings: dict[str, list[str]] = {}
    for name in PLATFORMS:
        platform = find(name)
        assert platform is not None
        spellings.setdefault(platform.name, []).append(name)
    assert set(EXAMPLES) == set(spellings), "test_docs.EXAMPLES has one entry for every platform"
    naming = Naming()
    lines = ["| platform | host | path | type | name in Purview |", "|---|---|---|---|---|"]
    for name, examples in EXAMPLES.items():
        others = [other for other in spellings[name] if other != name]
        shown = f"`{name}`" + (f" ({', '.join(others)})" if others else "")
        for host, path, kind in examples:
            made = naming.name(Address(name, host, tuple(path.split("/")), kind))
            place = f"`{host}`" if host else ""
            lines.append(f"| {shown} | {place} | `{path}` | {kind} | `{made.type_name}` `{made.qualified_name}` |")
            shown = ""
    return "\n".join(lines)


def relational_table() -> str:
    naming = Naming()
    lines = ["| platform | path | name in Purview |", "|---|---|---|"]
    for name, containers in sorted(RELATIONAL.items()):
        path = (*(f"my_{part}" for part in containers), "orders")
        made = naming.name(Address(name, "host", path, "table"))
        words = ", ".join((*containers, "table"))
        lines.append(f"| `{name}` | {words} | `{made.type_name}` `{made.qualified_name}` |")
    return "\n".join(lines)


@pytest.mark.parametrize(("mark", "make"), [("platforms", platform_table), ("relational", relational_table)])
def test_tables_of_names_are_those_of_the_code(mark: str, make: Any) -> None:
    page = GUIDE / "names-and-types.md"
    before, begin, rest = page.read_text("utf-8").partition(f"<!-- {mark}: begin -->\n")
    held, end, after = rest.partition(f"<!-- {mark}: end -->")
    assert begin, mark
    assert end, mark
    made = make() + "\n"
    if os.environ.get("HOOKLINE_UPDATE_GOLDEN") and held != made:
        page.write_text(before + begin + made + end + after, "utf-8")
        held = made
    assert held == made, "HOOKLINE_UPDATE_GOLDEN=1 rewrites the table"


# ---- rules


def takers(tree: ast.Module) -> dict[str, int]:
    """Functions and structs of a module that take a `rule` -> at which position."""
    found = {}
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.FunctionDef):
            names = [arg.arg for arg in node.args.args if arg.arg != "self"]
        elif isinstance(node, ast.ClassDef):
            names = [n.target.id for n in node.body if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name)]
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and "rule" in names:
            found[node.name] = names.index("rule")
    return found


def rules() -> set[str]:
    """Every rule name in the code: the constants given to whatever takes a `rule`."""
    modules = {".".join(path.relative_to(ROOT).with_suffix("").parts): tree for path, tree in sources()}
    known = {module: takers(tree) for module, tree in modules.items()}
    found: set[str] = set()
    for module, tree in modules.items():
        visible = dict(known[module])
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                there = known.get(node.module or "", {})
                visible |= {
                    alias.asname or alias.name: there[alias.name] for alias in node.names if alias.name in there
                }
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                called = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
                given = [k.value for k in node.keywords if k.arg == "rule"]
                given += node.args[visible[called] :][:1] if called in visible else []
                found |= {arg.value for arg in given if isinstance(arg, ast.Constant) and isinstance(arg.value, str)}
            elif isinstance(node, ast.For) and isinstance(node.target, ast.Tuple) and isinstance(node.iter, ast.Tuple):
                names = [name.id if isinstance(name, ast.Name) else "" for name in node.target.elts]
                if "rule" in names:
                    found |= {pair[names.index("rule")] for pair in ast.literal_eval(node.iter)}
    # a whole file that is refused carries the kind of its error (pipeline/transformation.py)
    kinds = [
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.HooklineError)
    ]
    elsewhere = (errors.Transient, errors.SourceError, errors.UsageError)
    return found | {kind.__name__ for kind in kinds if not issubclass(kind, elsewhere)}


def test_every_rule_is_documented() -> None:
    page = GUIDE / "when-something-is-missing.md"
    text = page.read_text("utf-8").split("## Reasons for a refusal")[1]
    shown = [row for part in re.split(r"\n\n(?=\|)", text) for row in rows(part)]
    assert all(len(row) == 3 and row[1] and row[2] for row in shown)
    assert {name for row in shown for name in code(row[0])} == rules()


def test_the_rules_that_were_found_are_those_that_cases_expect() -> None:
    """The walk over the code sees what the rules' own cases see."""
    cases = [msgspec.json.decode(path.read_bytes()) for path in (ROOT / "tests/cases/rules").glob("*.json")]
    expected = {case["rule"] for case in cases if case.get("rule")}
    assert expected
    assert expected <= rules()


# ---- states, functions, limits


def test_states_and_functions_are_documented() -> None:
    from shared.state.receipts import State
    from shared.state.scans import ScanState

    page = GUIDE / "how-it-works.md"
    assert {code(row[0])[0] for row in table(page, "Receipts")} == set(get_args(State))
    assert {code(row[0])[0] for row in table(page, "Job files, parts, watermark")} == set(get_args(ScanState))
    tree = ast.parse((ROOT / "function_app.py").read_text("utf-8"))
    functions = {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.decorator_list}
    assert {code(row[0])[0] for row in table(page, "How it works")} == functions


def test_limits() -> None:
    from shared import job_file
    from shared.atlas import messages, rules
    from shared.naming import spelling
    from shared.pipeline import extraction, http

    numbers = [
        messages.MAX_ENTITIES,
        Limits().message_bytes,
        job_file.PART_RECORDS,
        job_file.PART_BYTES,
        Limits().file_bytes,
        job_file.MAX_LINE,
        http.MAX_EVENT_BYTES,
        rules.ENTITY_BYTES,
        spelling.MAX_BYTES,
        extraction.TIME_LIMIT_SECONDS,
    ]
    assert [row[1] for row in table(GUIDE / "how-it-works.md", "Limits")] == [f"{number:,}" for number in numbers]


def test_secrets_stay_out_of_pages() -> None:
    """Connectors whose settings hold a Secret are shown with a reference, never with a value."""
    for name in SOURCES:
        kind = source_class(name)
        hidden = [f.encode_name for f in msgspec.structs.fields(kind.Settings) if Secret in (f.type, *get_args(f.type))]
        text = (DOCS / "connectors" / f"{name}.md").read_text("utf-8")
        for field in hidden:
            assert all(
                value.lstrip('"').startswith("${") for value in re.findall(rf"^ *{field}: *(.*)$", text, re.MULTILINE)
            )


@pytest.mark.parametrize("heading", ["Status", "Instance", "Scan", "File", "Why"])
def test_the_json_of_status_is_documented(heading: str) -> None:
    from shared.pipeline.overview import InstanceStatus, Status
    from shared.pipeline.why import Why
    from shared.state.receipts import Receipt
    from shared.state.scans import Scan

    kinds: dict[str, type[msgspec.Struct]] = {
        "Status": Status,
        "Instance": InstanceStatus,
        "Scan": Scan,
        "File": Receipt,
        "Why": Why,
    }
    text = (GUIDE / "status.md").read_text("utf-8").split(f"\n**{heading}**", 1)[1]
    told = [name for row in rows(text.split("\n\n", 1)[1].split("\n\n", 1)[0]) for name in code(row[0])]
    assert sorted(told) == sorted(kinds[heading].__struct_fields__)
