"""A source that refuses the login: its password may have been rotated, so it is tried once more with a new one.

Exactly once, and only where Key Vault holds another value by now: the same password a second time tells nothing, and
many systems lock an account after a few failed logins. For the same reason a worker remembers what was refused: the
other forty scopes of the instance do not try it too.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import msgspec

from connectors.source import Check, Source
from shared.errors import HooklineError, LoginRefused
from shared.pipeline.app import App, log, now
from shared.settings import names_in

T = TypeVar("T")

#: what was refused is not tried again for so long, unless the secret is another one by then
REFUSED_FOR = dt.timedelta(minutes=10)


def logged_in(app: App, instance: str, act: Callable[[Source[Any]], T]) -> T:
    """What `act` makes of the instance's source. Where the login is refused, it is called with a second one.

    Raises LoginRefused when that one is refused as well or would be the same, and what App.source and `act` raise.
    """
    source = app.source(instance)
    refused = _remembered(app, instance, source)
    if refused is None:
        try:
            return act(source)
        except LoginRefused as error:
            refused = _remember(app, instance, source, error)
    second, read = _reopened(app, instance, source, refused)
    try:
        return act(second)
    except LoginRefused as error:
        _remember(app, instance, second, error)
        raise LoginRefused(f"{error.what} ({read}, and is refused as well)", where=error.where, fix=error.fix) from None


def _remember(app: App, instance: str, source: Source[Any], error: LoginRefused) -> LoginRefused:
    """The same without its traceback, whose frames may hold a password."""
    refused = LoginRefused(error.what, where=error.where, fix=error.fix)
    app.refused[instance] = (now(), source.settings, refused)
    return refused


def _remembered(app: App, instance: str, source: Source[Any]) -> LoginRefused | None:
    """How the source answered these very settings a moment ago; None where it did not, or it is worth another try."""
    if instance not in app.refused:
        return None
    moment, settings, refused = app.refused[instance]
    return refused if settings == source.settings and abs(now() - moment) < REFUSED_FOR else None


def checks(app: App, instance: str, source: Source[Any]) -> Iterator[Check]:
    """The lines of `source.check()`; of a second source where the first was refused the login."""
    lines = list(source.check())
    refused = next((line for line in lines if line.login), None)
    if refused is None:
        yield from lines
        return
    try:
        second, read = _reopened(app, instance, source, LoginRefused(refused.detail, fix=refused.fix))
    except HooklineError as error:
        yield Check(refused.name, False, error.what, error.fix)
        return
    for line in second.check():
        if line.login:
            yield msgspec.structs.replace(line, detail=f"{line.detail} ({read}, and is refused as well)")
        else:
            yield line


def _reopened(app: App, instance: str, source: Source[Any], refused: LoginRefused) -> tuple[Source[Any], str]:
    """The source with its secrets read again, and a word on when. Raises LoginRefused: there is nothing else to try."""
    names = names_in(app.instance(instance).settings)
    for name in names:
        app.secrets.refresh(name)
    second = app.source(instance)
    read = f"the secret was read again at {now():%Y-%m-%d %H:%M:%S} UTC"
    if second.settings == source.settings:
        what = f"{refused.what} ({read}, and is the same)" if names else refused.what
        raise LoginRefused(what, where=refused.where, fix=refused.fix) from None
    log.warning("instance=%s refused the login: once more, with the secret as it is now", instance)
    return second, read
