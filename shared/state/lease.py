"""A lease on a row: for so many seconds nobody else can take it or write the row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.errors import Superseded, Transient
from shared.state.storage_call import Conflict, Missing, StorageCall
from shared.telemetry import get_logger

if TYPE_CHECKING:
    from azure.storage.blob import BlobLeaseClient

log = get_logger(__name__)


class Lease:
    """A held lease of `seconds`; a context object that releases it.

    `lost` is set once storage says that it is not ours any more.

    It fences: a write with a lease that somebody else has taken since is refused by storage, so that a worker that was
    asleep cannot overwrite its successor.
    """

    def __init__(self, client: BlobLeaseClient, call: StorageCall, where: str, seconds: int) -> None:
        self._client = client
        self._call = call
        self._where = where
        self.seconds = seconds
        self.lost = False

    @property
    def id(self) -> str:
        return str(self._client.id)

    def renew(self) -> None:
        """Start its time anew, also when it ran out and nobody took it.

        Raises Superseded when somebody else has it, or the row is gone; StorageBusy.
        """
        try:
            self._call(lambda: self._client.renew(retry_total=0), self._where)
        except (Conflict, Missing) as error:
            self.lost = True
            raise Superseded("somebody else has taken the lease", where=self._where) from error

    def release(self) -> None:
        """Give it back. Never raises Transient: a lease that cannot be released runs out by itself."""
        if self.lost:
            return
        try:
            self._call(lambda: self._client.release(retry_total=0), self._where)
        except Transient as error:
            log.debug("a lease was not released", where=self._where, reason=error.what)
        self.lost = True

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, *exc: object) -> None:
        self.release()
