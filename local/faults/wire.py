"""A network that cuts connections: a TCP proxy before a server that is none of ours, such as a database."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

_PIECE = 65_536
#: so that closing sends a reset: the other side learns of it at once, and what is under way is lost
_RESET = struct.pack("ii", 1, 0)


class Wire:
    """Passes on what comes to `port` (loopback) to `target`. `hits` counts the connections that were cut."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._lock = threading.Lock()
        self._cuts: deque[int] = deque()
        self.hits = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, name="wire", daemon=True).start()

    def cut(self, after: Iterable[int]) -> None:
        """The next connections break, one each, after so many bytes of the server's answers; the rest holds."""
        with self._lock:
            self._cuts = deque(after)
            self.hits = 0

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                client, _ = self._listener.accept()
                try:
                    server = socket.create_connection(self._target, timeout=10)
                except OSError:
                    client.close()
                    continue
                server.settimeout(None)
                with self._lock:
                    left = self._cuts.popleft() if self._cuts else -1
                threading.Thread(target=self._pump, args=(client, server, -1), daemon=True).start()
                threading.Thread(target=self._pump, args=(server, client, left), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, left: int) -> None:
        """left: bytes until the cut, -1 for none."""
        limited = left >= 0
        with contextlib.suppress(OSError):
            while piece := source.recv(_PIECE):
                if limited and len(piece) > left:
                    sink.sendall(piece[:left])
                    with self._lock:
                        self.hits += 1
                    for end in (source, sink):
                        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                    break
                left -= len(piece)
                sink.sendall(piece)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


@contextmanager
def wire_to(host: str, port: int) -> Iterator[Wire]:
    """A wire until the block ends."""
    wire = Wire((host, port))
    try:
        yield wire
    finally:
        wire.close()
