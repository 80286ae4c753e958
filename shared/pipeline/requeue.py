"""Which landed files a person wants to run again: by path, by scan, or all of which something was refused."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from shared.errors import UsageError
from shared.pipeline.app import App
from shared.pipeline.deletions import DELETIONS
from shared.pipeline.landing import version
from shared.pipeline.replaying import Replay
from shared.state.receipts import Receipt


def named(app: App, what: Iterable[str]) -> list[Replay]:
    """Messages for the queue `replays`. what: paths in landing, or ids of scans. Raises UsageError for any other."""
    found: dict[str, Replay] = {}
    for one in what:
        paths = [one] if _lies_there(app, one) else [r.path for r in _landed(app) if r.scan == one]
        if not paths:
            raise UsageError(
                "there is no such file in landing, and no such scan", where=one, fix="`./hookline status` names them"
            )
        found |= {path: Replay(path=path, again=True) for path in paths if _lies_there(app, path)}
    return list(found.values())


def refused(app: App) -> list[Replay]:
    """Every file of which something was refused, or got lost, and that still lies in landing."""
    wrong = (r for r in _landed(app) if r.final and (r.refused or r.state in ("rejected", "lost")))
    return [Replay(path=receipt.path, again=True) for receipt in wrong if _lies_there(app, receipt.path)]


def _landed(app: App) -> Iterator[Receipt]:
    return (receipt for receipt in app.receipts.all() if receipt.format != DELETIONS)


def _lies_there(app: App, path: str) -> bool:
    return version(app.landing.get_blob_client(path)) is not None
