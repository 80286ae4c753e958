"""The queue `replays`: run a landed file again."""

from __future__ import annotations

import msgspec

from shared.pipeline.app import App
from shared.pipeline.sweeping import Replay
from shared.pipeline.transformation import transform


def replay(app: App, body: str) -> None:
    message = msgspec.json.decode(body, type=Replay)
    transform(app, app.landing.get_blob_client(message.path), again=message.again)
