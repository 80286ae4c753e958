"""hookline.yaml as plain Python values that remember their lines.

YAML 1.1 as PyYAML's safe loader reads it, with five differences: a repeated key is an error instead of the last one
winning, dates stay text, a key is text, and file size, depth and the number of values after aliases are expanded are
bounded (an alias bomb is an error, not an outage). No message quotes a value, because values may be passwords.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import yaml

from shared.errors import SettingsError

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 30
MAX_VALUES = 50_000

#: the keys that lead to a value, from the outside in; an integer is a position in a list
Keys = tuple[str | int, ...]


class Place(msgspec.Struct, frozen=True):
    """Where a value stands: its file, its path of keys, and the line of each path in that file (1-based)."""

    file: str = ""
    path: Keys = ()
    lines: dict[Keys, int] = {}

    @classmethod
    def of(cls, where: Place | str) -> Place:
        """A Place from a text that stands for one in errors, such as `instances.crm.settings`."""
        return where if isinstance(where, Place) else cls(path=(where,) if where else ())

    def at(self, *keys: str | int) -> Place:
        return Place(self.file, (*self.path, *keys), self.lines)

    @property
    def line(self) -> int:
        """Line of this value, or of the nearest one around it that has a line; 0 when nothing is known."""
        for length in range(len(self.path), -1, -1):
            if line := self.lines.get(self.path[:length]):
                return line
        return 0

    def __str__(self) -> str:
        keys = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in self.path).lstrip(".")
        where = f"{self.file} line {self.line}" if self.line else self.file
        return f"{where}, {keys}" if where and keys else where or keys


class _Loader(yaml.SafeLoader):
    """The safe loader without dates: `2026-01-01` is text unless a setting asks for something else."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read(file: Path) -> tuple[dict[str, Any], Place]:
    """Parse the file; return its top-level mapping and the Place of it. Raises SettingsError with file and line."""
    name = file.name
    try:
        with file.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise SettingsError(
            "the file does not exist", where=str(file), fix="copy hookline.example.yaml and change it"
        ) from error
    except OSError as error:
        raise SettingsError(
            f"cannot be read: {error.strerror}", where=str(file), fix="check path and rights"
        ) from error
    if len(raw) > MAX_BYTES:
        raise SettingsError(f"larger than {MAX_BYTES:,} bytes", where=str(file), fix="keep only settings in it")
    return parse(raw, name)


def parse(raw: bytes, name: str) -> tuple[dict[str, Any], Place]:
    """As `read`, from bytes; `name` is what errors call the file."""
    try:
        loader = _Loader(raw.decode("utf-8-sig"))
        node = loader.get_single_node()
        tree = _Tree(loader, name)
        value = tree.value(node, (), 0) if node is not None else None
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise SettingsError("not UTF-8 text", where=f"{name} line {line}", fix="save the file as UTF-8") from error
    except yaml.MarkedYAMLError as error:
        raise _not_yaml(error, name) from None  # the cause quotes the line, which may hold a password
    except yaml.YAMLError as error:
        raise SettingsError(f"not YAML: {type(error).__name__}", where=name, fix="remove control characters") from None
    except RecursionError:
        raise _too_deep(name) from None
    if not isinstance(value, dict):
        raise SettingsError(
            "holds no settings" if value is None else "is not a list of `key: value` lines",
            where=name,
            fix="copy hookline.example.yaml and change it",
        )
    return value, Place(name, (), tree.lines)


class _Tree:
    """Turns YAML nodes into values, noting the line of every key path."""

    def __init__(self, loader: _Loader, name: str) -> None:
        self.loader = loader
        self.name = name
        self.lines: dict[Keys, int] = {}
        self.count = 0

    def value(self, node: yaml.Node, path: Keys, depth: int) -> Any:
        self.count += 1
        if self.count > MAX_VALUES:
            raise self.error(node, f"more than {MAX_VALUES:,} values", "use fewer aliases (`*name`)")
        if depth > MAX_DEPTH:
            raise _too_deep(self.name)
        self.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, path, depth)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*path, i), depth + 1) for i, item in enumerate(node.value)]
        return self.scalar(node)

    def mapping(self, node: yaml.MappingNode, path: Keys, depth: int) -> dict[str, Any]:
        own: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        first: dict[str, int] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if key_node.tag == "tag:yaml.org,2002:merge":
                several = value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]
                for one in several:  # the first mapping that has a key wins, as YAML's merge says
                    merged = {**self.merged(one, path, depth), **merged}
                continue
            key = self.scalar(key_node) if isinstance(key_node, yaml.ScalarNode) else None
            if not isinstance(key, str):
                raise self.error(key_node, "a key must be text", "put the key in quotes")
            if key in first:
                raise self.error(
                    key_node, f"the key `{key}` stands here twice", f"remove one; the first is in line {first[key]}"
                )
            first[key] = line
            self.lines[(*path, key)] = line
            own[key] = self.value(value_node, (*path, key), depth + 1)
        return {**merged, **own}

    def merged(self, node: yaml.Node, path: Keys, depth: int) -> dict[str, Any]:
        value = self.value(node, path, depth + 1)
        if not isinstance(value, dict):
            raise self.error(node, "`<<` takes a mapping", "point it at a block of `key: value` lines")
        return value

    def scalar(self, node: yaml.Node) -> Any:
        try:
            return self.loader.construct_object(node)
        except ValueError:  # an integer such as 0o9 or a float out of range
            raise self.error(node, "not a number that can be used", "put it in quotes if it is text") from None

    def error(self, node: yaml.Node, what: str, fix: str) -> SettingsError:
        return SettingsError(what, where=f"{self.name} line {node.start_mark.line + 1}", fix=fix)


def _too_deep(name: str) -> SettingsError:
    return SettingsError(
        f"nested more than {MAX_DEPTH} levels deep", where=name, fix="an alias (`*name`) may contain itself"
    )


def _not_yaml(error: yaml.MarkedYAMLError, name: str) -> SettingsError:
    mark = error.problem_mark or error.context_mark
    where = f"{name} line {mark.line + 1}, column {mark.column + 1}" if mark else name
    problem = _QUOTED.sub(_short, error.problem or "cannot be parsed")
    return SettingsError(
        f"not YAML: {problem}",
        where=where,
        fix="indent with spaces, and put text that begins with * & ! % @ ` { [ or contains `: ` or ` #` in quotes",
    )


_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")


def _short(match: re.Match[str]) -> str:
    """A quoted part of PyYAML's message: single characters and <tokens> help, all else is the user's text."""
    text = match[0]
    return text if len(text) <= 4 or text.startswith("'<") else "'...'"
