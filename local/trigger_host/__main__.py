"""Command line: `python -m local.trigger_host --app DIR --settings FILE [--port 0] [--poll 0.2] [--lease 30]`.

Standard output carries JSON Lines: first {"port", "functions"} when the host is ready, then one object per execution.
Whatever the app prints or logs goes to standard error. Exit code 2: the app or its settings cannot be used.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import threading
from pathlib import Path
from typing import Any

from azure.core.exceptions import AzureError

from local.trigger_host.host import TriggerHost, leave, run
from local.trigger_host.host_json import read_host_json
from local.trigger_host.runtime import FunctionApp
from shared.errors import HooklineError, SettingsError


class _Lines:
    """JSON Lines on what was standard output when the process began."""

    def __init__(self) -> None:
        self._file = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
        self._lock = threading.Lock()
        sys.stdout.flush()
        os.dup2(2, 1)

    def write(self, line: dict[str, Any]) -> None:
        with self._lock:
            self._file.write(json.dumps(line, ensure_ascii=False) + "\n")


def read_settings(path: Path) -> dict[str, str]:
    """App settings from a JSON object of texts, or from the `Values` of a local.settings.json. Raises SettingsError."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise SettingsError(f"cannot be read: {error}", where=str(path), fix="write a JSON object of texts") from None
    values = found.get("Values", found) if isinstance(found, dict) else None
    if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
        raise SettingsError("not a JSON object of texts", where=str(path), fix='{"NAME": "value", ...}')
    return values


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m local.trigger_host", description="Run a function app locally.")
    parser.add_argument("--app", type=Path, required=True, help="folder of function_app.py and host.json")
    parser.add_argument("--settings", type=Path, required=True, help="JSON file with the app settings")
    parser.add_argument("--port", type=int, default=0, help="HTTP port on the loopback; 0: any free one")
    parser.add_argument("--poll", type=float, default=0.2, help="seconds between two looks at storage")
    parser.add_argument("--lease", type=float, default=30.0, help="seconds until a dead process's message reappears")
    options = parser.parse_args(arguments)
    lines = _Lines()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for name in ("azure", "uamqp", "httpx", "urllib3"):
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        settings = read_settings(options.settings)
        app = FunctionApp.load(options.app, settings)
        host = TriggerHost(
            app, read_host_json(Path.cwd(), os.environ), lines.write, poll=options.poll, lease=max(options.lease, 1.0)
        )
    except HooklineError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    except AzureError as error:
        sys.stderr.write(f"storage does not answer: {error}\n  fix: start it, or correct its connection string\n")
        return 1
    functions = sorted(app.functions)
    run(host, options.port, lambda port: lines.write({"port": port, "functions": functions}))
    return 0


if __name__ == "__main__":
    leave(main())
