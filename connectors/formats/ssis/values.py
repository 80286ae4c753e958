"""What variables and parameters hold, as far as a file can tell, and expressions over them.

A variable that something assigns while the package runs (a result set, a Foreach loop, a script) has no value that a
name could be made of: it stays `{User::Day}`. Its design-time value is still the best there is for a SQL text, which is
what people put there so that the designer finds the columns.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Iterator, Mapping

from connectors.formats.ssis.expressions import Unknown, Value, shown, value_of
from connectors.formats.ssis.model import Package, Task, Variable

#: DTS:DataType (VARTYPE) of numbers and truth values
_WHOLE = frozenset(("2", "3", "16", "17", "18", "19", "20", "21"))
_BROKEN_NUMBERS = frozenset(("4", "5", "6", "14"))
_ASSIGNED = re.compile(r"@\[([^\]]+)\]\s*=(?!=)|@(\w+)\s*=(?!=)")


class Values:
    """The variables that a task sees: its own, those of the containers around it, the package's and the project's."""

    def __init__(self, package: Package, project: Iterable[Variable] = ()) -> None:
        found = [*project, *package.parameters, *package.root.variables]
        self._scope: Mapping[str, Variable] = {variable.name: variable for variable in found}
        self._system = {"System::PackageName": package.name.removesuffix(".dtsx")}
        self._assigned = frozenset(_assigned(package.root))
        self._given: dict[str, Value] = {}
        self._known: dict[str, Value] = {}
        self._asking: set[str] = set()

    def within(self, task: Task) -> Values:
        """What is seen inside a task."""
        if not task.variables:
            return self
        return self._with({**self._scope, **{variable.name: variable for variable in task.variables}}, self._given)

    def given(self, values: Mapping[str, str]) -> Values:
        """The same with values that a loop gives."""
        return self._with(self._scope, {**self._given, **values}) if values else self

    def _with(self, scope: Mapping[str, Variable], given: dict[str, Value]) -> Values:
        made = copy.copy(self)
        made._scope, made._given, made._known, made._asking = scope, given, {}, set()
        return made

    def __call__(self, name: str) -> Value:
        """The value by the full name (`User::Table`)."""
        if name not in self._known:
            self._known[name] = self._value(name)
        return self._known[name]

    def evaluate(self, expression: str) -> str:
        return shown(value_of(expression, self))

    def text(self, name: str) -> str:
        """A variable's value for a name; its placeholder where it is not known or empty."""
        full = name if "::" in name else f"User::{name}"
        return shown(self(full)) or "{" + full + "}"

    def design(self, name: str) -> str:
        """The value, or what the designer has seen of it where it is only known when the package runs."""
        full = name if "::" in name else f"User::{name}"
        variable = self._scope.get(full)
        if variable is not None and full in self._assigned and variable.value and not variable.sensitive:
            return variable.value
        return self.text(full)

    def _value(self, name: str) -> Value:
        unknown = Unknown("{" + name + "}")
        if name in self._given:
            return self._given[name]
        if name in self._system:
            return self._system[name]
        variable = self._scope.get(name)
        if variable is None or variable.sensitive or name in self._asking:
            return unknown
        if variable.expression:
            self._asking.add(name)
            try:
                return value_of(variable.expression, self)
            finally:
                self._asking.discard(name)
        if name in self._assigned:
            return unknown
        return _typed(variable)


def _typed(variable: Variable) -> Value:
    value = variable.value
    try:
        if variable.type in _WHOLE:
            return int(value)
        if variable.type in _BROKEN_NUMBERS:
            return float(value)
    except ValueError:
        return value
    if variable.type == "11":
        return value.strip().lower() in ("-1", "1", "true")
    return value


def _assigned(task: Task) -> Iterator[str]:
    """Full names of variables that something in the package sets while it runs."""
    yield from task.mappings
    if task.data is not None:
        for binding in task.data.walk("ResultBinding"):
            yield binding.get("DtsVariableName")
        for binding in task.data.walk("ParameterBinding"):
            if binding.get("ParameterDirection", "Input") not in ("Input", "0", "1"):
                yield binding.get("DtsVariableName")
        for found in _ASSIGNED.finditer(task.data.get("Expression")):
            yield _full(found[1] or found[2])
        if "Script" in task.kind:
            written = task.data.get("ReadWriteVariables") or next(
                (node.get("ReadWriteVariables") for node in task.data.children if node.get("ReadWriteVariables")), ""
            )
            yield from (_full(name) for name in written.split(",") if name.strip())
        for component in task.data.walk("component"):
            for node in component.all("properties", "property"):
                if node.get("name") in ("VariableName", "ReadWriteVariables") and node.text.strip():
                    yield from (_full(name) for name in node.text.split(","))
    for inner in task.tasks:
        yield from _assigned(inner)


def _full(name: str) -> str:
    plain = name.strip()
    return plain if "::" in plain else f"User::{plain}"
