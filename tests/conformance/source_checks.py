"""What every source must do, one function a rule. Each is proven by a source in broken_sources.py that it rejects."""

from __future__ import annotations

import gc
import re
import subprocess
import sys
import time
import traceback
import tracemalloc
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import yaml

from connectors.source import Check, Selection
from shared.errors import HooklineError, SettingsError, SourceRefused, SourceUnreachable
from shared.records import Container, Cursor, Dataset, Record, Refusal
from shared.settings import Secret, Secrets, convert, resolve
from tests.conformance.subject import Subject, assets, records

ROOT = Path(__file__).parents[2]
MOST_WITHOUT_CURSOR = 500
UNREACHABLE_SECONDS = 20
NO_SUCH_SCOPE = "no such scope"

encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(Record).decode


def check_settings_forbid_unknown_keys(subject: Subject) -> None:
    try:
        convert(subject.source.Settings, {**subject.settings, "no_such_setting": 1})
    except SettingsError as error:
        assert "no_such_setting" in str(error), f"the error does not name the unknown key: {error}"
    assert subject.source.Settings.__struct_config__.forbid_unknown_fields, "Settings take unknown keys"
    assert subject.source.Settings.__struct_config__.frozen, "Settings can be changed"


def check_description_is_complete(subject: Subject) -> None:
    for name, text in subject.source.describe(subject.open()).items():
        assert text.strip(), f"`{name}` is empty"


def check_example_is_valid_and_complete(subject: Subject) -> None:
    """The example is the documentation of the settings: every one is in it, and it can be used as it stands."""
    text = subject.source.example
    names = re.findall(r"\$\{secret:([^}]+)\}", text)
    environ = {f"HOOKLINE_SECRET_{name.replace('-', '_').upper()}": "canary-in-the-example" for name in names}
    block = yaml.safe_load(text)
    assert isinstance(block, Mapping), "the example is no block of settings"
    try:
        convert(subject.source.Settings, resolve(block, Secrets(None, environ)))
    except HooklineError as error:
        raise AssertionError(f"the example is refused: {error}") from error
    missing = {field.encode_name for field in msgspec.structs.fields(subject.source.Settings)} - set(block)
    assert not missing, f"the example lacks {', '.join(sorted(missing))}"
    for field in msgspec.structs.fields(subject.source.Settings):
        if field.type in (Secret, Secret | None):
            assert "${secret:" in str(block[field.encode_name]), f"the example shows how to write {field.name} in clear"


def check_base_needs_no_connection(subject: Subject) -> None:
    try:
        base = subject.open(settings=subject.unreachable).base()
    except HooklineError as error:
        raise AssertionError(f"base() needs the system: {error}") from error
    assert base.path == (), "base() is not the server"
    assert base.platform, "base() names no platform"
    assert base.host, "base() names no host"
    live = subject.open()
    assert live.base() == subject.open().base(), "base() changes between two calls"


def check_scopes_are_sorted_and_stable(subject: Subject) -> None:
    first, second = subject.open().scopes(), subject.open().scopes()
    assert subject.scope in first, f"scopes() lacks {subject.scope}"
    assert first == sorted(set(first)), f"scopes() is not sorted, or repeats a name: {first[:20]}"
    assert first == second, "scopes() changes between two calls"


def check_subject_is_large_enough(subject: Subject) -> None:
    """Without a thousand datasets the checks of cursors and memory say nothing."""
    datasets = sum(isinstance(record, Dataset) for record in records(subject.items()))
    assert datasets >= 1_000, f"the scope holds {datasets} datasets, the checks need 1,000"


def check_containers_come_first(subject: Subject) -> None:
    kinds = [isinstance(record, Container) for record in records(subject.items())]
    assert kinds[:1] == [True], "no container at the beginning"
    assert kinds == sorted(kinds, reverse=True), "a container comes after what it may hold"


def check_records_survive_a_job_file(subject: Subject) -> None:
    for item in subject.items():
        assert not isinstance(item, Refusal), f"refused: {item}"
        if isinstance(item, Cursor):
            assert item.position, "a cursor without a position"
            continue
        assert decode(encode(item)) == item, f"not the same after JSON: {item}"


def check_order_is_the_same_twice(subject: Subject) -> None:
    first, second = (records(subject.items()) for _ in range(2))
    difference = next((n for n, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), None)
    assert difference is None, f"record {difference} is another one in a second call"
    assert len(first) == len(second), "a second call yields another number of records"


def check_cursors_are_frequent(subject: Subject) -> None:
    since_last, positions = 0, []
    for item in subject.items():
        if isinstance(item, Cursor):
            positions.append(item.position)
            since_last = 0
        else:
            since_last += 1
            assert since_last <= MOST_WITHOUT_CURSOR, f"more than {MOST_WITHOUT_CURSOR} records without a cursor"
    assert positions, "no cursor"
    assert len(positions) == len(set(positions)), "two cursors at one position"


def check_resume_yields_exactly_the_rest(subject: Subject) -> None:
    items = subject.items()
    containers = [record for record in records(items) if isinstance(record, Container)]
    for n, item in enumerate(items):
        if isinstance(item, Cursor):
            rest = records(subject.items(resume=item.position))
            wanted = containers + assets(items[n:])
            assert rest[: len(containers)] == containers, f"the containers do not come again after {item.position}"
            assert len(rest) == len(wanted), f"{len(rest)} records after {item.position}, not {len(wanted)}"
            assert rest == wanted, f"other records after {item.position}"


def check_since_is_ignored_or_restricts(subject: Subject) -> None:
    full = records(subject.items())
    later = records(subject.items(since="9999-01-01T00:00:00Z"))
    if subject.open().incremental():
        assert len(later) < len(full), "an incremental source does not look at `since`"
    else:
        assert later == full, "`since` changes what a source without watermarks yields"


def check_selection_is_honoured(subject: Subject) -> None:
    pattern = ".".join(subject.dataset)
    one = assets(subject.items(Selection(include=(pattern,))))
    found = [".".join(record.address.path) for record in one if isinstance(record, Dataset)]
    assert len(found) == 1, f"include: [{pattern}] yields {found[:5]}"
    assert found[0].endswith(pattern), f"include: [{pattern}] yields {found[0]}"
    everything = len(assets(subject.items()))
    others = assets(subject.items(Selection(exclude=(pattern,))))
    assert len(others) == everything - 1, f"exclude: [{pattern}] leaves out {everything - len(others)} records, not one"
    excluded = subject.open(Selection(exclude=(subject.scope,))).scopes()
    assert subject.scope not in excluded, f"exclude: [{subject.scope}] leaves it in scopes()"


def check_addresses_are_unique(subject: Subject) -> None:
    counts = Counter(getattr(record, "address", None) for record in records(subject.items()))
    twice = [str(address) for address, count in counts.items() if count > 1]
    assert not twice, f"more than one record at {', '.join(twice[:5])}"


def check_parents_are_yielded(subject: Subject) -> None:
    base, items = subject.open().base(), records(subject.items())
    containers = {record.address.path for record in items if isinstance(record, Container)}
    for record in items:
        address = record.address  # type: ignore[union-attr]
        assert (address.platform, address.host) == (base.platform, base.host), f"{address} is not on {base}"
        for length in range(len(address.path)):
            assert address.path[:length] in containers, f"{address} lies in {address.path[:length]}, never yielded"


def check_a_scope_that_is_gone_says_so(subject: Subject) -> None:
    items = list(subject.open().extract(NO_SUCH_SCOPE))
    assert items == [Cursor(position="gone")], f"a scope that does not exist yields {items[:3]}"


def check_memory_does_not_grow_with_the_source(subject: Subject) -> None:
    """Yielding takes less than half of what all records together take: they cannot all have been there at once."""
    for _ in subject.open().extract(subject.scope):
        pass  # what is imported and cached on first use does not count
    gc.collect()
    tracemalloc.start()
    try:
        kept = subject.items()
        everything = tracemalloc.get_traced_memory()[0]
        kept.clear()
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        for _ in subject.open().extract(subject.scope):
            pass
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert peak < everything / 2, f"holds {peak:,} bytes while it yields records of {everything:,} bytes"


def check_secrets_stay_secret(subject: Subject) -> None:
    takes_one = any(field.type in (Secret, Secret | None) for field in msgspec.structs.fields(subject.source.Settings))
    assert bool(subject.secret) == takes_one, "a subject has a `secret` if, and only if, its Settings have a Secret"
    if not takes_one:
        return
    for settings in (subject.settings, subject.refused):
        assert any(subject.secret in str(value) for value in settings.values()), "the canary is in no setting"
    source = subject.open()
    said = [repr(source), repr(source.settings), str(source.describe()), repr(list(source.check()))]
    said += [repr(item) for item in subject.items()]
    for settings in (subject.unreachable, subject.refused):
        said += [text for call in _calls(subject, settings) for text in _error_texts(call)]
        said.append(repr(list(subject.open(settings=settings).check())))
    for text in said:
        assert subject.secret not in text, (
            "the credential is in " + text.replace(subject.secret, "<the credential>")[:300]
        )


def check_unreachable_is_said_in_time(subject: Subject) -> None:
    _raises(subject, subject.unreachable, SourceUnreachable)


def check_refused_is_said(subject: Subject) -> None:
    _raises(subject, subject.refused, SourceRefused)


def check_check_never_raises(subject: Subject) -> None:
    lines = list(subject.open().check())
    assert lines, "check() says nothing"
    for line in lines:
        assert isinstance(line, Check), f"check() yields {line!r}"
        assert line.ok, f"check() finds fault with the live instance: {line}"
    for settings in (subject.unreachable, subject.refused):
        try:
            lines = list(subject.open(settings=settings).check())
        except Exception as error:
            raise AssertionError(f"check() raises {error!r}") from error
        bad = [line for line in lines if not line.ok]
        assert bad, "check() finds nothing wrong with a system that cannot be read"
        assert all(line.fix for line in bad), f"check() does not say what to do: {bad}"


def check_import_loads_no_driver(subject: Subject) -> None:
    module = subject.module or subject.source.__module__
    program = (
        "import sys, shared.settings, connectors.source; before = set(sys.modules)\n"
        f"import {module}\n"
        "new = {name.split('.')[0] for name in set(sys.modules) - before}\n"
        f"print(*sorted(new - sys.stdlib_module_names - {{'connectors', 'shared', {module.split('.')[0]!r}}}))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"cannot be imported: {done.stderr[-500:]}"
    assert not done.stdout.strip(), f"importing {module} loads {done.stdout.strip()}"


def _calls(subject: Subject, settings: Mapping[str, Any]) -> list[Callable[[], object]]:
    source = subject.open(settings=settings)
    return [source.scopes, lambda: list(source.extract(subject.scope))]


def _error_texts(call: Callable[[], object]) -> list[str]:
    try:
        call()
    except Exception as error:
        return [str(error), repr(error), "".join(traceback.format_exception(error))]
    return []


def _raises(subject: Subject, settings: Mapping[str, Any], wanted: type[HooklineError]) -> None:
    for call in _calls(subject, settings):
        started = time.monotonic()
        try:
            call()
        except wanted as error:
            assert error.fix, f"the error does not say what to do: {error}"
        except Exception as error:
            raise AssertionError(f"raises {error!r}, not {wanted.__name__}") from error
        else:
            raise AssertionError(f"does not raise {wanted.__name__}")
        seconds = time.monotonic() - started
        assert seconds < UNREACHABLE_SECONDS, f"says so after {seconds:.0f} s"


CHECKS: dict[str, Callable[[Subject], None]] = {
    name.removeprefix("check_"): function for name, function in list(globals().items()) if name.startswith("check_")
}
