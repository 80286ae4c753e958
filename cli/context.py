"""Which settings and which storage a command works with: hookline.yaml, or the local stack's."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from cli.output import step
from shared.errors import HooklineError, SettingsError, UsageError
from shared.pipeline.app import App
from shared.settings import Settings, load

ROOT = Path(__file__).parents[1]
#: everything local lies here
LOCAL = Path(os.environ.get("HOOKLINE_LOCAL") or ROOT / ".hookline").absolute()
#: the stack that stays up
RUN = LOCAL / "run"
DEFAULT = Path("hookline.yaml")


def settings_for(config: Path | None, *, offline: bool = False) -> Settings | None:
    """The settings of `--config` or ./hookline.yaml; None when there is neither. Raises SettingsError.

    offline: a file without a Purview account will do.
    """
    path = config or (DEFAULT if DEFAULT.exists() else None)
    if path is None:
        return None
    if not path.exists():
        raise SettingsError("there is no such file", where=str(path), fix="copy hookline.example.yaml and edit it")
    return load(path, os.environ, offline=offline)


def app_for(config: Path | None) -> App:
    """The app a command works on: the environment's storage where it names one, else the local stack's."""
    if "HooklineStorage" in os.environ or "HooklineStorage__blobServiceUri" in os.environ:
        settings = settings_for(config)
        if settings is None:
            raise UsageError("no hookline.yaml", fix="name one with --config, or copy hookline.example.yaml")
        return App(settings)
    from local.running import running

    found = running(RUN)
    if found is None:
        raise UsageError(
            "no storage is configured and no local stack is running",
            fix="start one with `./hookline run` in another terminal, or set HooklineStorage",
        )
    app = app_of(found)
    step(f"working with the local stack, catalogue {app.settings.purview.base_url}")
    return app


def app_of(environ: Mapping[str, str]) -> App:
    """The app of a local stack, from its app settings."""
    whole = {**os.environ, **environ}
    return App(load(Path(whole["HOOKLINE_CONFIG"]), whole), whole)


@contextmanager
def about(instance: str) -> Iterator[None]:
    """Names the instance in an error that says nothing of a place."""
    try:
        yield
    except HooklineError as error:
        if not error.where:
            raise type(error)(error.what, where=f"instance {instance}", fix=error.fix) from error
        raise


def files_there(paths: Sequence[Path]) -> None:
    """Raises UsageError for the first that is no file that can be read, before anything is done with the others."""
    for path in paths:
        if path.is_dir():
            raise UsageError("this is a folder", where=str(path), fix=f"name its files: {path}/*")
        if not path.exists():
            raise UsageError("there is no such file", where=str(path), fix="check the path")
        path.open("rb").close()
