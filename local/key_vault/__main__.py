"""The command: `python -m local.key_vault --folder DIR`; the secrets come over POST /local/secrets.

Prints one JSON line {"url", "control", "environ"} when it is ready, and stops on SIGTERM or SIGINT.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from pathlib import Path

from local.key_vault.server import running_key_vault


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m local.key_vault", description="A local stand-in for Key Vault.")
    parser.add_argument("--folder", type=Path, required=True, help="where its certificate is put")
    options = parser.parse_args()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with running_key_vault(options.folder) as running:
        ready = {"url": running.url, "control": running.control, "environ": running.environ}
        sys.stdout.write(json.dumps(ready) + "\n")
        sys.stdout.flush()
        stop.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
