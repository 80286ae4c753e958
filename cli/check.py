"""`check`: is everything right and does everything answer; each line ok, or the fix."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
from rich.markup import escape

from cli.context import app_for, settings_for
from cli.output import out
from connectors.source import Check
from shared.delivery.collections import path_of
from shared.errors import HooklineError, UsageError
from shared.pipeline import login
from shared.pipeline.app import App
from shared.pipeline.overview import left_alone
from shared.settings import redact
from shared.state.circuits import Kind


@click.command(short_help="Is everything right, and does everything answer?")
@click.argument("instance", required=False)
@click.pass_obj
def check(config: Path | None, instance: str | None) -> None:
    """Configuration, credentials, connection, permissions, hub and typedefs: each line ok, or the fix."""
    settings = settings_for(config)
    app = app_for(config) if settings is None else App(settings)
    failed = 0
    for line in checks(app, instance):
        mark = "[green]ok  [/green]" if line.ok else "[red]FAIL[/red]"
        out.print(f"{mark} {escape(line.name)}" + (f": {escape(redact(line.detail))}" if line.detail else ""))
        if not line.ok:
            failed += 1
            if line.fix:
                out.print(f"     [bold]fix:[/bold] {escape(redact(line.fix))}")
    sys.exit(1 if failed else 0)


def checks(app: App, instance: str | None) -> Iterator[Check]:
    """All checks, or those of one instance."""
    for name, error in sorted(app.settings.disabled.items()):
        if instance in (None, name):
            yield Check(f"instance {name}", False, error.what, error.fix)
    names = sorted(app.settings.instances) if instance is None else [instance]
    if instance is not None and instance not in app.settings.disabled:
        app.instance(instance)
    for name in names:
        if name in app.settings.instances:
            yield from _instance(app, name)
    if instance is None:
        yield from _azure(app)


def _instance(app: App, name: str) -> Iterator[Check]:
    try:
        source = app.source(name)
        yield Check(f"instance {name}", True, str(source.base()))
        for line in login.checks(app, name, source):
            yield Check(f"instance {name}, {line.name}", line.ok, line.detail, line.fix)
    except HooklineError as error:
        yield Check(f"instance {name}", False, error.what, error.fix)


def _circuits(app: App) -> Iterator[Check]:
    """What is left alone for a while because it failed; `status` says the same."""
    kinds: dict[Kind, str] = {
        "sink": "sending, circuit",
        "source": "instance {}, circuit",
        "collection": "collection of {}",
    }
    for kind, about in kinds.items():
        try:
            found = list(app.circuits.of(kind))
        except HooklineError:
            return  # storage has its own line
        for name, circuit in found:
            if circuit.open:
                yield Check(about.format(name), False, left_alone(name, circuit).what, circuit.fix)


def _try(name: str, ask: Callable[[], str]) -> Check:
    try:
        return Check(name, True, ask())
    except UsageError:
        raise
    except HooklineError as error:
        return Check(name, False, error.what, error.fix)


def _azure(app: App) -> Iterator[Check]:
    from shared.azure import storage_errors

    def storage() -> str:
        with storage_errors("state"):
            return str(app.landing.get_container_properties().name)

    def hub() -> str:
        return app.azure.hub_description()

    def typedefs() -> str:
        if app.typedefs is None:
            return "no purview.account: Hookline's own types cannot be created or checked"
        missing, changed = app.typedefs.diff()
        if missing or changed:
            return f"{len(missing)} to create, {len(changed)} to extend (`./hookline types push`, or the first message)"
        return "all present"

    def collection(wanted: str, where: str) -> str:
        if app.catalog is None:
            return "no purview.account: assets stay in the root collection"
        found = app.collections.find(wanted, where)
        return f"{path_of(found, app.collections.all())} ({found.name})"

    def key() -> str:
        return app.encryption.check() if app.encryption is not None else ""

    yield _try("storage", storage)
    if app.settings.landing.encryption_key:
        yield _try("encryption key", key)
    if app.settings.purview.hook is not None:
        yield _try("event hub", hub)
    yield _try("typedefs", typedefs)
    for wanted, where in dict.fromkeys(app.settings.collection(name) for name in ("", *sorted(app.settings.instances))):
        if wanted:
            yield _try(f"{where}", lambda wanted=wanted, where=where: collection(wanted, where))  # type: ignore[misc]
    yield from _circuits(app)
