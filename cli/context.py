"""Which settings and which storage a command works with: hookline.yaml, or the local stack's."""

from __future__ import annotations

import json
import os
from pathlib import Path

from shared.errors import SettingsError, UsageError
from shared.pipeline.app import App
from shared.settings import Settings, load

ROOT = Path(__file__).parents[1]
#: everything local lies here
LOCAL = ROOT / ".hookline"
#: app settings of the local stack, written by `run`
RUNNING = LOCAL / "run" / "local.settings.json"
DEFAULT = Path("hookline.yaml")


def settings_for(config: Path | None) -> Settings | None:
    """The settings of `--config` or ./hookline.yaml; None when there is neither. Raises SettingsError."""
    path = config or (DEFAULT if DEFAULT.exists() else None)
    if path is None:
        return None
    if not path.exists():
        raise SettingsError("there is no such file", where=str(path), fix="copy hookline.example.yaml and edit it")
    return load(path, os.environ)


def app_for(config: Path | None) -> App:
    """The app a command works on: the environment's storage where it names one, else the local stack's."""
    if "HooklineStorage" in os.environ or "HooklineStorage__blobServiceUri" in os.environ:
        settings = settings_for(config)
        if settings is None:
            raise UsageError("no hookline.yaml", fix="name one with --config, or copy hookline.example.yaml")
        return App(settings)
    if not RUNNING.exists():
        raise UsageError(
            "no storage is configured and no local stack is running",
            fix="start one with `./hookline run` (in another terminal), or set HooklineStorage",
        )
    environ = {**os.environ, **json.loads(RUNNING.read_text())}
    return App(load(Path(environ["HOOKLINE_CONFIG"]), environ), environ)
