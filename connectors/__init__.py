"""The registry: every source and format by name, imported when it is asked for.

To add one: write the module, add its line here, and `./hookline test` checks it.
"""

from __future__ import annotations

import importlib
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from shared.errors import SettingsError

if TYPE_CHECKING:
    from connectors.format import Format
    from connectors.source import Source

#: connector name -> "module:Class"; the name is what hookline.yaml says under `connector:`
SOURCES: dict[str, str] = {
    "postgresql": "connectors.sql.postgresql:PostgreSQL",
    "sqlite": "connectors.sql.sqlite:SQLite",
}

#: format name -> "module:Class"; asked in this order whether they recognise a file
FORMATS: dict[str, str] = {
    "records": "connectors.formats.records:Records",
    "openlineage": "connectors.formats.openlineage:OpenLineage",
    "dbt": "connectors.formats.dbt.files:Dbt",
    "atlas_json": "connectors.formats.atlas_json:AtlasJson",
    "ssis": "connectors.formats.ssis.reading:Ssis",
    "sql_script": "connectors.formats.sql_script:SqlScript",
}


def _load(registry: dict[str, str], kind: str, name: str) -> Any:
    spec = registry.get(name)
    if spec is None:
        near = get_close_matches(name, registry, 1)
        raise SettingsError(
            f"unknown {kind} {name!r}",
            fix=(f"did you mean {near[0]!r}? " if near else "") + f"there are: {', '.join(sorted(registry))}",
        )
    module, _, attribute = spec.partition(":")
    return getattr(importlib.import_module(module), attribute)


def source_class(name: str) -> type[Source[Any]]:
    """The class of a connector. Raises SettingsError for an unknown name; loads no driver."""
    loaded: type[Source[Any]] = _load(SOURCES, "connector", name)
    return loaded


def format_class(name: str) -> type[Format]:
    """The class of a format. Raises SettingsError for an unknown name."""
    loaded: type[Format] = _load(FORMATS, "format", name)
    return loaded
