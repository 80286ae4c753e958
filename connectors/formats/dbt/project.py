"""A manifest on disk: its nodes one at a time, what depends on what, and which tests belong to whom.

It is read once, forward. Of each node its name, its needs and its place in a temporary file stay in memory; the rest
is read back when its turn comes, so that memory does not grow with SQL and descriptions.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, BinaryIO

import msgspec

from connectors.formats.dbt.artifacts import OLDEST, Group, Node, kind_of, owners, people
from connectors.formats.json_stream import Value, values, where_of
from shared.errors import BadInput
from shared.records import Refusal

#: what is kept of one manifest: nodes, sources, exposures and so on; tests; groups
MAX_NODES, MAX_TESTS, MAX_GROUPS = 50_000, 200_000, 10_000
_IN_MEMORY = 16 * 1024 * 1024
RELATIONS = ("model", "seed", "snapshot", "source")
#: top-level keys whose members are read; others are passed over, member by member
_READ = ("nodes", "sources", "exposures", "metrics", "semantic_models")
# fmt: off
_MEMBERS = (
    *_READ, "metadata", "groups", "macros", "docs", "selectors", "disabled", "parent_map", "child_map", "group_map",
    "saved_queries", "unit_tests", "functions",
)
# fmt: on
_REF = re.compile(r"\bref\(([^)]*)\)")
_QUOTED = re.compile(r"'([^']*)'|\"([^\"]*)\"")
_FIX = "build the project's artifacts again (dbt docs generate) and upload them"


class Kept(msgspec.Struct, gc=False):
    """What stays in memory of a node. kind: its resource_type, which its unique id begins with."""

    kind: str
    name: str
    needs: tuple[str, ...]
    materialized: str
    database: str
    schema: str
    relation: str
    at: int
    length: int


class Test(msgspec.Struct, frozen=True, gc=False):
    uid: str
    name: str
    column: str


class Project(AbstractContextManager["Project"]):
    """Filled by `load`. nodes: unique id -> Kept, in the order of the file; tests by the node that they test."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115
        self._decode = msgspec.msgpack.Decoder(Node).decode
        self._encode = msgspec.msgpack.Encoder().encode
        self.metadata: dict[str, str] = {}
        self.nodes: dict[str, Kept] = {}
        self.tests: dict[str, list[Test]] = {}
        self.groups: dict[str, tuple[str, ...]] = {}
        self._tests = 0

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    # ---- reading

    def load(self, file: BinaryIO) -> Iterator[Refusal]:
        """Raises BadInput: no JSON, cut off, no manifest of dbt's, an old one, too many nodes."""
        is_checked = False
        for item in self._items(file):
            if isinstance(item, Refusal):
                if item.rule == "json":
                    raise BadInput(item.reason, where=self._where, fix=_FIX)
                yield item
            elif item.key == "metadata":
                self._about(item)
            elif item.key in (*_READ, "groups"):
                is_checked = is_checked or self.check()
                refused = self._member(item)
                if refused is not None:
                    yield refused
            elif not item.key and not isinstance(item.value, dict):
                break
        self.check()

    def _items(self, file: BinaryIO) -> Iterator[Value | Refusal]:
        try:
            into = dict.fromkeys(_MEMBERS, "start_map")
            yield from values(file, self._where, "node", into, lines=False)  # type: ignore[arg-type]
        except BadInput as error:
            raise BadInput(error.what, where=self._where, fix=_FIX) from error

    def check(self) -> bool:
        """Raises BadInput: no manifest, or one from before dbt 1.0."""
        artifact, version = kind_of(self.metadata.get("dbt_schema_version", ""))
        if artifact != "manifest":
            what = f"it is dbt's {artifact}" if artifact else "its metadata names no dbt_schema_version"
            raise BadInput(f"the file is no manifest of dbt's: {what}", where=self._where, fix=_FIX)
        if version < OLDEST:
            what = f"manifest v{version} is of a dbt before 1.0; read are v{OLDEST} and newer"
            raise BadInput(what, where=self._where, fix="build the project with dbt 1.0 or newer")
        return True

    def _about(self, item: Value) -> None:
        if isinstance(item.value, str):
            self.metadata[item.name] = item.value

    def _member(self, item: Value) -> Refusal | None:
        uid = item.name
        try:
            if item.key == "groups":
                if len(self.groups) < MAX_GROUPS:
                    group = msgspec.convert(item.value, Group)
                    self.groups[group.name] = people(group.owner)
                return None
            node = msgspec.convert(item.value, Node)
            msgspec.json.encode(node)  # a text that is no Unicode would stop everything later
        except (msgspec.ValidationError, UnicodeEncodeError) as error:
            return refusal(uid or where_of(item.place), str(error), _FIX)
        kind = uid.partition(".")[0]
        if uid in self.nodes:
            return refusal(uid, "it is in the manifest twice; the first one counts", _FIX)
        if not uid or not node.name:
            return refusal(uid or where_of(item.place), "it has no name", _FIX)
        if len(self.nodes) >= MAX_NODES or self._tests >= MAX_TESTS:
            raise BadInput(
                f"the manifest holds more than {MAX_NODES:,} nodes, or {MAX_TESTS:,} tests",
                where=self._where,
                fix="split the project",
            )
        if kind in ("test", "data_test"):
            self._attach(uid, node)
        elif kind in (*RELATIONS, "exposure", "metric", "semantic_model"):
            self._keep(uid, kind, node)
        return None

    def _keep(self, uid: str, kind: str, node: Node) -> None:
        config = node.config
        data = self._encode(node)
        at = self._file.seek(0, 2)
        self._file.write(data)
        name = node.identifier or node.alias or node.name
        needs = tuple(dict.fromkeys(node.needs))
        materialized = (config.materialized if config else None) or ""
        self.nodes[uid] = Kept(
            kind, name, needs, materialized, node.database or "", node.schema or "", node.relation_name or "",
            at, len(data),
        )  # fmt: skip

    def _attach(self, uid: str, node: Node) -> None:
        """A test to what it tests. Before v10 nothing says that but the test's arguments, or its only input."""
        tested = node.attached_node
        if not tested:
            kwargs = (node.test_metadata.kwargs if node.test_metadata else None) or {}
            named = _REF.search(str(kwargs.get("model", "")))
            last = [a or b for a, b in _QUOTED.findall(named[1])][-1:] if named else []
            tested = next((need for need in node.needs if last and need.split(".")[2:3] == last), None)
            tested = tested or (node.needs[0] if len(node.needs) == 1 else None)
        if tested:
            name = node.test_metadata.name if node.test_metadata else node.name
            self._tests += 1
            self.tests.setdefault(tested, []).append(Test(uid, sys.intern(name), sys.intern(node.column_name or "")))

    # ---- asking

    def node(self, uid: str) -> Node:
        kept = self.nodes[uid]
        self._file.seek(kept.at)
        return self._decode(self._file.read(kept.length))

    def owners_of(self, node: Node) -> tuple[str, ...]:
        group = node.group or (node.config.group if node.config else None) or ""
        return tuple(dict.fromkeys((*owners(node.all_meta), *self.groups.get(group, ()))))

    def sources_of(self, uid: str) -> list[str]:
        """What it reads that is there to be read: ephemeral models stand for what they read."""
        found: dict[str, None] = {}
        seen: set[str] = {uid}
        waiting = [*reversed(self.nodes[uid].needs)]
        while waiting:
            need = waiting.pop()
            kept = self.nodes.get(need)
            if kept is None or need in seen:
                continue
            seen.add(need)
            if kept.materialized == "ephemeral":
                waiting += reversed(kept.needs)
            else:
                found[need] = None
        return list(found)

    def unknown_needs(self, uid: str) -> list[str]:
        """Needs that are not in the manifest."""
        kinds = (*RELATIONS, "metric", "semantic_model")
        return [n for n in self.nodes[uid].needs if n not in self.nodes and n.partition(".")[0] in kinds]

    def levels(self, uids: Iterable[str]) -> Iterator[list[str]]:
        """Those nodes, each behind all that it needs. What needs itself comes last: see `circles`."""
        left = dict.fromkeys(uids)
        waiting = {uid: sum(need in left for need in self.nodes[uid].needs) for uid in left}
        needed_by: dict[str, list[str]] = {}
        for uid in left:
            for need in self.nodes[uid].needs:
                if need in left:
                    needed_by.setdefault(need, []).append(uid)
        level = [uid for uid in left if not waiting[uid]]
        while level:
            yield level
            following: list[str] = []
            for uid in level:
                del left[uid]
                for by in needed_by.get(uid, ()):
                    waiting[by] -= 1
                    if not waiting[by]:
                        following.append(by)
            level = following
        if left:
            yield list(left)

    def circles(self, uids: Iterable[str]) -> set[str]:
        """Of nodes that wait for each other, those that are not only behind a circle but in it."""
        left = dict.fromkeys(uids)
        while True:
            needed = {need for uid in left for need in self.nodes[uid].needs}
            free = [uid for uid in left if uid not in needed]
            if not free:
                return set(left)
            for uid in free:
                del left[uid]


def refusal(place: str, reason: str, fix: str, sample: Any = None) -> Refusal:
    from shared.settings.redact import redact

    return Refusal(place=place, rule="dbt", reason=redact(reason)[:2_000], fix=fix, sample=sample or "")
