"""`python -m local.event_hubs`: prints `{"port": ..., "connection_string": ...}` when ready, then obeys faults.obey.

Stops on SIGTERM and SIGINT. Standard input may be closed at any time; that only ends the control of faults from there.
With `--control` it can be controlled over TCP as well, at the loopback port `control` of what is printed.
"""

from __future__ import annotations

import logging
import os
import signal
import socketserver
import sys
import threading
from pathlib import Path

import click
import msgspec

from local.event_hubs.faults import obey
from local.event_hubs.server import EventHubs
from local.event_hubs.tokens import KEY
from shared.errors import HooklineError

#: a longer line on standard input is no command
_MAX_LINE = 65_536


def _hub(_context: click.Context, _option: click.Parameter, values: tuple[str, ...]) -> dict[str, int]:
    hubs = {}
    for value in values:
        name, _, partitions = value.partition(":")
        if not partitions.isdecimal():
            raise click.BadParameter(f"{value!r} is not NAME:PARTITIONS, such as purview-hook:4")
        hubs[name] = int(partitions)
    return hubs


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="0: any free port.")
@click.option("--hub", "hubs", multiple=True, required=True, callback=_hub, metavar="NAME:PARTITIONS")
@click.option("--consumer-group", "groups", multiple=True, metavar="NAME", help="Of every hub, beside $Default.")
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), help="Keep the events here over restarts.")
@click.option("--memory", is_flag=True, help="Keep the events in memory.")
@click.option("--retention", type=click.IntRange(min=1), help="Bytes of events kept per partition.")
@click.option("--key", default=KEY, help="The shared access key clients sign with.")
@click.option("--control", is_flag=True, help="Take commands over TCP, too.")
def main(
    port: int,
    hubs: dict[str, int],
    groups: tuple[str, ...],
    data: Path | None,
    memory: bool,
    retention: int | None,
    key: str,
    control: bool,
) -> None:
    """Run an Event Hubs stand-in on 127.0.0.1."""
    if (data is None) != memory:
        raise click.UsageError("give either --data DIR or --memory")
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if hasattr(signal, "SIGTTIN"):  # in the background of a terminal, reading fails instead of stopping the process
        signal.signal(signal.SIGTTIN, signal.SIG_IGN)
    server = EventHubs(hubs, data=data, port=port, consumer_groups=groups, retention=retention, key=key)
    try:
        server.start()
    except HooklineError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)
    ready: dict[str, object] = {"port": server.port, "connection_string": server.connection_string()}
    if control:
        ready["control"] = _listen(server)
    _write(msgspec.json.encode(ready) + b"\n")
    threading.Thread(target=_control, args=(server,), name="control", daemon=True).start()
    while not stop.wait(timeout=1):  # in turns, so that Windows delivers its Ctrl-C
        continue
    server.stop()


def _write(line: bytes) -> None:
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()


def _read() -> bytes:
    try:
        return os.read(sys.stdin.fileno(), _MAX_LINE) if sys.stdin is not None else b""
    except OSError as error:
        logging.info("standard input cannot be read (%s): no more faults from there", error)
        return b""


def _listen(server: EventHubs) -> int:
    """Obey lines over TCP, in threads that end with the process; returns the port."""

    class Commands(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            for line in iter(lambda: self.rfile.readline(_MAX_LINE), b""):
                self.wfile.write(obey(line, server))

    listener = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Commands)
    listener.daemon_threads = True
    threading.Thread(target=listener.serve_forever, name="control-tcp", daemon=True).start()
    return int(listener.server_address[1])


def _control(server: EventHubs) -> None:
    """Read the descriptor itself: a thread that blocks in `sys.stdin` would hold its lock when the interpreter ends."""
    rest = b""
    while chunk := _read():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in filter(None, map(bytes.strip, lines)):
            _write(obey(line, server))
        if len(rest) > _MAX_LINE:
            rest = b""
            _write(b'{"error": "the line is too long"}\n')


if __name__ == "__main__":
    main()
