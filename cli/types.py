"""`types`: Hookline's own typedefs and the account's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.context import app_for
from cli.output import out
from shared.errors import UsageError

if TYPE_CHECKING:
    from shared.delivery.typedefs import TypedefSync


@click.group(short_help="Hookline's own typedefs in the account: compare, create.")
def types() -> None:
    """Hookline's own typedefs: compare them with the account's, create what is missing."""


def _sync(config: Path | None) -> TypedefSync:
    app = app_for(config)
    if app.typedefs is None:
        raise UsageError("typedefs go over REST, and no account is configured", fix="set purview.account")
    return app.typedefs


@types.command()
@click.pass_obj
def diff(config: Path | None) -> None:
    """What `push` would create or extend."""
    missing, changed = _sync(config).diff()
    for name in missing:
        out.print(f"create {name}")
    for name in changed:
        out.print(f"extend {name}")
    if not missing and not changed:
        out.print("nothing to do: all typedefs are present and as they should be")


@types.command()
@click.pass_obj
def push(config: Path | None) -> None:
    """Create what is missing, extend what has grown. Never removes anything."""
    missing, changed = _sync(config).push()
    out.print(f"created {len(missing)}, extended {len(changed)}")
