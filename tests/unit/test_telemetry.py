from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from shared import telemetry
from shared.telemetry import MOST_CHARACTERS, Log, configure, get_logger


@pytest.fixture
def written() -> Iterator[tuple[Log, io.StringIO]]:
    """A logger of ours with a plain handler that redacts nothing itself."""
    log = get_logger("tests.telemetry")
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    log.logger.addHandler(handler)
    log.logger.setLevel(logging.DEBUG)
    log.logger.propagate = False
    yield log, out
    log.logger.removeHandler(handler)
    log.logger.propagate = True


def test_fields_are_key_value_on_one_line(written: tuple[Log, io.StringIO]) -> None:
    log, out = written
    log.info("scan finished", instance="crm", scope="public schema", records=1234, seconds=0.123456789, nothing=None)
    log.warning("why", reason='said "no"\nand left', empty="", path="a=b\\")
    log.info("part %d of %s", 3, "crm", records=1)
    log.info("100% done")
    assert out.getvalue().splitlines() == [
        'scan finished instance=crm scope="public schema" records=1234 seconds=0.123457',
        'why reason="said \\"no\\"\\nand left" empty="" path="a=b\\\\"',
        "part 3 of crm records=1",
        "100% done",
    ]


def test_long_fields_are_cut(written: tuple[Log, io.StringIO]) -> None:
    log, out = written
    log.info("sql", text="x" * 10_000)
    assert len(out.getvalue()) < MOST_CHARACTERS + 50


def test_no_credential_is_written(written: tuple[Log, io.StringIO]) -> None:
    log, out = written
    log.info("connecting", url="postgresql://u:hunter2@h/d")
    log.error("failed: %s", "password=hunter2")
    try:
        try:
            raise ValueError("Server=h;Password=hunter2 x;")
        except ValueError as error:
            raise RuntimeError("AccountKey=hunter2==") from error
    except RuntimeError:
        log.exception("broke")
    log.logger.info("plain %s", "sig=hunter2")
    assert "hunter2" not in out.getvalue()
    assert out.getvalue().count("***") >= 5
    assert "RuntimeError" in out.getvalue()
    assert "Traceback" in out.getvalue()


def test_the_line_names_the_caller(written: tuple[Log, io.StringIO], caplog: pytest.LogCaptureFixture) -> None:
    log, _ = written
    log.logger.addHandler(caplog.handler)
    log.info("here")
    log.logger.removeHandler(caplog.handler)
    assert caplog.records[-1].filename == "test_telemetry.py"


def test_records_whose_arguments_do_not_fit_are_left_to_logging() -> None:
    record = logging.LogRecord("x", logging.INFO, "f", 1, "%d", ("x",), None)
    assert telemetry.Redacting().filter(record)
    assert record.args == ("x",)


@contextmanager
def bare_root() -> Iterator[logging.Logger]:
    """The root logger as a fresh process has it; pytest puts its own handlers back before each test."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers.clear()
    try:
        yield root
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)


def test_configure_writes_to_a_stream_once_and_redacts_what_libraries_say() -> None:
    out = io.StringIO()
    with bare_root():
        configure(stream=out)
        configure(stream=io.StringIO())
        logging.getLogger("somebody.else").info("pwd=hunter2")
        logging.getLogger("azure.core.pipeline").info("a request")
        logging.getLogger("azure.core.pipeline").warning("a problem")
    lines = out.getvalue().splitlines()
    assert len(lines) == 2
    assert "somebody.else pwd=***" in lines[0]
    assert "a problem" in lines[1]


def test_configure_keeps_the_handlers_that_are_there() -> None:
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    with bare_root() as root:
        root.addHandler(handler)
        configure(logging.WARNING)
        assert root.handlers == [handler]
        logging.getLogger("x").warning("sig=hunter2")
        logging.getLogger("x").info("left out")
    assert out.getvalue() == "sig=***\n"
