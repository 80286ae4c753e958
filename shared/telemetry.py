"""Logs: one line per event with its fields as key=value, and no credential in any of them.

    log = get_logger(__name__)
    log.info("scan finished", instance="crm", scope="public", records=1234)
    -> scan finished instance=crm scope=public records=1234

In Azure the worker's own handler takes the lines to Application Insights, where the fields are searched as text; on a
laptop `configure` writes them to standard error.
"""

from __future__ import annotations

import logging
import re
import sys
import traceback
from typing import TextIO

from shared.settings.redact import redact

#: libraries that write several lines per call at INFO (two per HTTP request of an Azure SDK)
NOISY = ("azure", "urllib3", "msal", "sqlglot")
#: a longer field is cut: a log is no place for a document
MOST_CHARACTERS = 2_000

_PLAIN = re.compile(r"[^\s\"'=]+")


class Redacting(logging.Filter):
    """Masks credentials in a record's message and traceback, whoever wrote it, before any handler sees it."""

    def filter(self, record: logging.LogRecord) -> bool:
        try:
            message = record.getMessage()
        except (TypeError, ValueError):  # arguments that do not fit: logging reports that itself
            return True
        record.msg, record.args = redact(message), None
        if record.exc_info and record.exc_info[0] is not None:
            record.exc_text = redact("".join(traceback.format_exception(*record.exc_info)).rstrip())
            record.exc_info = None  # a handler that formats it again would show what was masked
        return True


class Log:
    """A logger that takes fields by name (`None` is left out), and %-arguments as `logging` does."""

    def __init__(self, logger: logging.Logger) -> None:
        self.logger = logger

    def debug(self, event: str, /, *args: object, **fields: object) -> None:
        self._log(logging.DEBUG, event, args, fields)

    def info(self, event: str, /, *args: object, **fields: object) -> None:
        self._log(logging.INFO, event, args, fields)

    def warning(self, event: str, /, *args: object, **fields: object) -> None:
        self._log(logging.WARNING, event, args, fields)

    def error(self, event: str, /, *args: object, **fields: object) -> None:
        self._log(logging.ERROR, event, args, fields)

    def exception(self, event: str, /, *args: object, **fields: object) -> None:
        """As `error`, with the traceback of the exception that is being handled: for our bugs, not users' mistakes."""
        self._log(logging.ERROR, event, args, fields, trace=True)

    def _log(
        self, level: int, event: str, args: tuple[object, ...], fields: dict[str, object], *, trace: bool = False
    ) -> None:
        if self.logger.isEnabledFor(level):
            text = line(event % args if args else event, fields)
            self.logger.log(level, "%s", text, exc_info=trace, stacklevel=3)


def line(event: str, fields: dict[str, object]) -> str:
    """The event and its fields; a value with spaces, quotes or line breaks stands in quotes."""
    return " ".join([event, *(f"{key}={_value(v)}" for key, v in fields.items() if v is not None)])


def _value(value: object) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    if len(text) > MOST_CHARACTERS:
        text = text[:MOST_CHARACTERS] + "..."
    if _PLAIN.fullmatch(text):
        return text
    quoted = text.replace("\\", "\\\\").replace('"', '\\"').replace("\r", "\\r").replace("\n", "\\n")
    return f'"{quoted}"'


def get_logger(name: str) -> Log:
    """The logger of a module; its lines are redacted even before `configure` was called."""
    logger = logging.getLogger(name)
    if not any(isinstance(one, Redacting) for one in logger.filters):
        logger.addFilter(Redacting())
    return Log(logger)


def quiet_libraries() -> None:
    """Keep the Azure SDKs and other talkative libraries to warnings."""
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)


def configure(level: int = logging.INFO, stream: TextIO | None = None) -> None:
    """Set up logging for this process; safe to call again.

    Where the root logger has handlers already (the Functions worker, a test) they are kept and made to redact;
    otherwise lines go to `stream` (standard error).
    """
    root = logging.getLogger()
    if not root.handlers:
        handler = logging.StreamHandler(stream or sys.stderr)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(name)s %(message)s"))
        root.addHandler(handler)
    for one in root.handlers:
        if not any(isinstance(f, Redacting) for f in one.filters):
            one.addFilter(Redacting())
    root.setLevel(level)
    quiet_libraries()
