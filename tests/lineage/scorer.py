"""How right the lineage is: runs the case files of tests/fixtures/lineage and counts, per dialect and category.

    .venv/bin/python -m tests.lineage.scorer [--write] [--wrong] [dialect[/category]]

A case is exact on tables when its inputs and outputs are what the file says, exact on columns when its edges are.
Names are compared without regard to case, defaults left out on either side.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from shared.lineage import ScriptLineage, analyze

ROOT = Path(__file__).parents[2]
FIXTURES = ROOT / "tests" / "fixtures" / "lineage"
#: stands for the rows of a bare query
RESULT = "<result>"
SCORE = Path(__file__).parent / "score.json"
#: case -> why it is wrong
KNOWN = Path(__file__).parent / "known.json"

Edge = tuple[str, str]


class Case(NamedTuple):
    path: Path
    line: int
    name: str
    dialect: str
    sql: str
    schemas: dict[str, dict[str, str]]
    database: str
    schema: str
    inputs: frozenset[str]
    outputs: frozenset[str]
    edges: frozenset[Edge]
    problems: str

    @property
    def id(self) -> str:
        return f"{self.dialect}/{self.path.stem}:{self.line} {self.name}"


class Score(NamedTuple):
    """true, found, right: expected, given and common pairs."""

    exact_tables: bool
    exact_columns: bool
    tables: tuple[int, int, int]
    columns: tuple[int, int, int]


def cases(below: str = "") -> Iterator[Case]:
    for path in sorted(FIXTURES.glob("**/*.sql")):
        if str(path.relative_to(FIXTURES).with_suffix("")).startswith(below):
            yield from read(path)


def read(path: Path) -> Iterator[Case]:
    name, line, lines = "", 0, list[str]()
    for number, text in enumerate([*path.read_text(encoding="utf-8").splitlines(), "-- case: "], 1):
        if text.startswith("-- case:"):
            if name:
                yield _case(path, line, name, lines)
            name, line, lines = text[8:].strip(), number, []
        else:
            lines.append(text)


def _case(path: Path, line: int, name: str, lines: list[str]) -> Case:
    said: dict[str, list[str]] = {}
    sql = []
    for text in lines:
        key, colon, rest = text[3:].partition(":") if text.startswith("-- ") else ("", "", "")
        if colon and key in ("schema", "defaults", "inputs", "outputs", "columns", "problems"):
            said.setdefault(key, []).append(rest.strip())
        else:
            sql.append(text)
    defaults = dict(pair.split("=", 1) for pair in " ".join(said.get("defaults", [])).split())
    edges = []
    for text in said.get("columns", []):
        for part in _split(text, ";"):
            output, arrow, inputs = part.partition("<-")
            if arrow:
                edges += [(_key(output), _key(i)) for i in _split(inputs, ",")]
    return Case(
        path, line, name, path.parent.name, "\n".join(sql), json.loads("".join(said.get("schema", [])) or "{}"),
        defaults.get("database", ""), defaults.get("schema", ""),
        frozenset(_key(t) for text in said.get("inputs", []) for t in _split(text, ",")),
        frozenset(_key(t) for text in said.get("outputs", []) for t in _split(text, ",")),
        frozenset(edges), " ".join(said.get("problems", [])),
    )  # fmt: skip


def _split(text: str, mark: str) -> list[str]:
    return [part.strip() for part in text.split(mark) if part.strip() and part.strip() != "-"]


def _key(name: str) -> str:
    return name.strip().lower().translate(str.maketrans("", "", '"`[]'))


def run(case: Case) -> ScriptLineage:
    return analyze(
        case.sql, dialect=case.dialect, default_database=case.database or None,
        default_schema=case.schema or None, schemas=case.schemas or None,
    )  # fmt: skip


def names(tables: Iterable[object]) -> frozenset[str]:
    return frozenset(_key(str(t)) for t in tables)


def edges_of(result: ScriptLineage) -> frozenset[Edge]:
    return frozenset(
        (_key(f"{c.output.table if c.output.table.parts else RESULT}.{c.output.column}"), _key(f"{i.table}.{i.column}"))
        for c in (*result.columns, *result.returned)
        for i in c.inputs
    )


def score(case: Case, result: ScriptLineage) -> Score:
    inputs, outputs = (names(ts) for ts in (result.inputs, result.outputs))
    edges = edges_of(result)
    right = len(inputs & case.inputs) + len(outputs & case.outputs)
    return Score(
        inputs == case.inputs and outputs == case.outputs,
        edges == case.edges,
        (len(case.inputs) + len(case.outputs), len(inputs) + len(outputs), right),
        (len(case.edges), len(edges), len(edges & case.edges)),
    )


def summary(scores: Iterable[Score]) -> dict[str, float]:
    listed = list(scores)
    found: dict[str, float] = {"cases": len(listed)}
    for name, exact, counts in (
        ("tables", [s.exact_tables for s in listed], [s.tables for s in listed]),
        ("columns", [s.exact_columns for s in listed], [s.columns for s in listed]),
    ):
        true, given, right = (sum(c[i] for c in counts) for i in range(3))
        found[f"{name}_exact"] = round(sum(exact) / max(1, len(listed)), 4)
        found[f"{name}_precision"] = round(right / given, 4) if given else 1.0
        found[f"{name}_recall"] = round(right / true, 4) if true else 1.0
    return found


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("below", nargs="?", default="")
    arguments.add_argument("--write", action="store_true", help="keep the figures as the score that CI holds")
    arguments.add_argument("--wrong", action="store_true", help="show what is wrong")
    options = arguments.parse_args()
    results: dict[str, list[Score]] = {}
    seconds, statements = 0.0, 0
    for case in cases(options.below):
        started = time.process_time()
        result = run(case)
        seconds += time.process_time() - started
        statements += max(1, len(result.statements))
        one = score(case, result)
        for group in ("all", case.dialect, f"{case.dialect}/{case.path.stem}"):
            results.setdefault(group, []).append(one)
        if options.wrong and not (one.exact_tables and one.exact_columns):
            _show(case, result)
    table = {group: summary(scores) for group, scores in sorted(results.items())}
    for group, figures in table.items():
        cells = " ".join(
            f"{figures[f'{n}_{k}']:6.3f}" for n in ("tables", "columns") for k in ("exact", "precision", "recall")
        )
        sys.stdout.write(f"{group:36} {figures['cases']:4.0f}  {cells}\n")
    sys.stdout.write(f"{statements / max(seconds, 1e-9):,.0f} statements per CPU second\n")
    if options.write and not options.below:
        SCORE.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")


def _show(case: Case, result: ScriptLineage) -> None:
    edges = edges_of(result)
    inputs, outputs = (names(ts) for ts in (result.inputs, result.outputs))
    out = sys.stdout.write
    out(f"--- {case.id}\n{case.sql.strip()}\n")
    for what, wanted, got in (("input", case.inputs, inputs), ("output", case.outputs, outputs)):
        for name in sorted(wanted ^ got):
            out(f"  {'missing' if name in wanted else 'EXTRA'} {what} {name}\n")
    for edge in sorted(case.edges ^ edges):
        out(f"  {'missing' if edge in case.edges else 'EXTRA'} {edge[0]} <- {edge[1]}\n")
    for problem in result.problems:
        out(f"  ! {problem.place}: {problem.reason}\n")


if __name__ == "__main__":
    main()
