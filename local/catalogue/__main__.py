"""The command: `python -m local.catalogue --port 8400 --hub-connection ... --data DIR`.

Prints one JSON line {"port", "url"} when it is ready, and stops on SIGTERM or SIGINT.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from pathlib import Path

from local.catalogue.server import running_catalogue


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m local.catalogue", description="A local stand-in for Purview.")
    parser.add_argument("--port", type=int, default=8400, help="0 for any free one")
    parser.add_argument("--data", type=Path, default=Path(".hookline/catalogue"), help="directory of the SQLite file")
    parser.add_argument("--hub-connection", default="", help="Event Hubs connection string; without it REST only")
    parser.add_argument("--hook", default="purview-hook", help="hub to read")
    parser.add_argument("--notifications", default="purview-notifications", help="hub to write; empty for none")
    parser.add_argument("--consumer-group", default="$Default")
    options = parser.parse_args()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        with running_catalogue(
            options.data,
            port=options.port,
            hub_connection=options.hub_connection,
            hook=options.hook,
            notifications=options.notifications,
            consumer_group=options.consumer_group,
        ) as running:
            sys.stdout.write(json.dumps({"port": running.port, "url": running.url}) + "\n")
            sys.stdout.flush()
            stop.wait()
    except OSError as error:
        sys.stderr.write(f"the catalogue cannot listen on port {options.port}: {error}\n  fix: --port 0\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
