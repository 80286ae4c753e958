"""The queue `replays`: run a landed file again, or send once more what of it did not arrive."""

from __future__ import annotations

import msgspec

from shared.errors import BadInput
from shared.pipeline.app import App
from shared.pipeline.resending import look, resend
from shared.pipeline.transformation import transform


class Replay(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A message of the queue `replays`: transform this landed file.

    again:   even if its receipt says that it was sent.
    missing: only what of it is not confirmed, without looking at the rest; rest: over REST, which answers; look: only
             compare it with what the catalogue shows, and send nothing.
    """

    path: str
    again: bool = False
    missing: bool = False
    rest: bool = False
    look: bool = False


def replay(app: App, body: str) -> None:
    """Raises Transient; the queue tries again."""
    try:
        message = msgspec.json.decode(body, type=Replay)
    except msgspec.DecodeError as error:
        raise BadInput(f"not a replay: {error}", where="queue replays", fix='send {"path": "..."}') from error
    if message.look:
        look(app, message.path)
    elif message.missing:
        resend(app, message.path, by_rest=message.rest)
    else:
        transform(app, app.landing.get_blob_client(message.path), again=message.again)
