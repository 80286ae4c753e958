"""Plain values to typed settings, with errors that name the key, its line and the nearest right spelling.

msgspec does the checking of single values; the walk over structs, lists and mappings is here, because an error has to
say which key of which instance is wrong, and must never quote a value that may be a password.
"""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Mapping
from datetime import timedelta
from difflib import get_close_matches
from typing import Annotated, Any, Literal, TypeVar, Union, cast, get_args, get_origin

import msgspec

from shared.errors import SettingsError
from shared.settings.document import Place
from shared.settings.secrets import Secret

T = TypeVar("T")

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION = re.compile(r"(\d{1,9})\s*([smhdw])")
_INVALID: Any = object()

#: what msgspec calls a type -> what a person writes in YAML
_WORDS = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "a block of `key: value` lines",
    "null": "empty",
}


def convert(cls: type[T], raw: object, where: Place | str = "") -> T:
    """`raw` (a mapping out of YAML, references resolved) as the msgspec struct `cls`.

    where: the Place of the block, or a text for errors. Fields may be scalars, Literals, lists, mappings, structs,
    unions of tagged structs, `Secret` (from text) and `timedelta` (from `30s`, `10m`, `12h`, `7d`, `2w`).
    Raises SettingsError for the first thing that is wrong; `convert_all` reports every one.
    """
    problems: list[SettingsError] = []
    value = convert_all(cls, raw, where, problems)
    if problems:
        raise problems[0]
    return cast("T", value)


def convert_all(cls: type[T], raw: object, where: Place | str, problems: list[SettingsError]) -> T | None:
    """As `convert`, but append every error to `problems`; None when there is one."""
    place = Place.of(where)
    before = len(problems)
    value = _struct(cls, raw, place, problems)
    return value if len(problems) == before else None


def nearest(name: str, known: typing.Iterable[str]) -> str:
    """`did you mean ..? ` for a mistyped name, or nothing."""
    near = get_close_matches(name.lower(), list(known), 1, 0.6)
    return f"did you mean `{near[0]}`? " if near else ""


def _struct(cls: type[Any], raw: object, place: Place, problems: list[SettingsError]) -> Any:
    if raw is None:
        raw = {}  # `settings:` with nothing below it
    if not isinstance(raw, Mapping):
        problems.append(SettingsError("must be a block of `key: value` lines", where=str(place), fix=_keys(cls)))
        return _INVALID
    tag = cls.__struct_config__.tag_field
    fields = {field.encode_name: field for field in msgspec.structs.fields(cls)}
    for key in raw:
        if key not in fields and key != tag:
            problems.append(
                SettingsError(
                    f"unknown key `{key}`", where=str(place.at(key)), fix=nearest(str(key), fields) + _keys(cls)
                )
            )
    values: dict[str, Any] = {}
    for name, field in fields.items():
        if name in raw:
            values[field.name] = _value(field.type, raw[name], place.at(name), problems)
        elif field.required:
            problems.append(SettingsError(f"`{name}` is missing", where=str(place), fix=f"add `{name}:` here"))
            values[field.name] = _INVALID
    if any(value is _INVALID for value in values.values()):
        return _INVALID
    try:
        return cls(**values)
    except (ValueError, TypeError) as error:  # a struct's __post_init__ says what is wrong with the whole
        problems.append(SettingsError(str(error), where=str(place), fix="see the connector's documentation"))
        return _INVALID
    except SettingsError as error:
        where = place.at(error.where) if error.where else place  # a struct of ours names the key
        problems.append(SettingsError(error.what, where=str(where), fix=error.fix))
        return _INVALID


def _value(wanted: Any, raw: object, place: Place, problems: list[SettingsError]) -> Any:
    bare = _bare(wanted)
    origin, arguments = get_origin(bare), get_args(bare)
    if origin in (Union, types.UnionType):
        if raw is None and type(None) in arguments:
            return None
        options = [option for option in arguments if option is not type(None)]
        if len(options) == 1:
            return _value(options[0], raw, place, problems)
        structs = [option for option in options if _is_struct(option)]
        if structs and isinstance(raw, Mapping):
            return _tagged(structs, raw, place, problems)
    if _is_struct(bare):
        return _struct(bare, raw, place, problems)
    if bare is Secret:
        return _secret(raw, place, problems)
    if bare is timedelta:
        return _duration(raw, place, problems)
    if isinstance(raw, Secret):
        raw = raw.reveal()  # the connector declared this setting as one that may be shown
    if origin is Literal and raw not in arguments:
        hint = nearest(raw, [a for a in arguments if isinstance(a, str)]) if isinstance(raw, str) else ""
        what = f"must be one of {', '.join(str(a) for a in arguments)}"
        problems.append(SettingsError(what, where=str(place), fix=hint + "write one of these"))
        return _INVALID
    several = origin in (list, set, frozenset) or (origin is tuple and arguments[-1] is Ellipsis)
    if several and isinstance(raw, list | tuple):
        items = [_value(arguments[0], one, place.at(i), problems) for i, one in enumerate(raw)]
        return _checked(wanted, items, place, problems)
    if origin is dict and isinstance(raw, Mapping):
        entries = {key: _value(arguments[1], one, place.at(key), problems) for key, one in raw.items()}
        return _checked(wanted, entries, place, problems)
    return _checked(wanted, raw, place, problems)


def _checked(wanted: Any, raw: Any, place: Place, problems: list[SettingsError]) -> Any:
    """`raw` as `wanted` by msgspec. Text is tried as the number it may be: `${env:PORT}` is always text."""
    inner = raw.values() if isinstance(raw, dict) else raw if isinstance(raw, list) else ()
    if any(value is _INVALID for value in inner):
        return _INVALID
    try:
        return msgspec.convert(raw, wanted, dec_hook=_already_typed)
    except msgspec.ValidationError as error:
        said = str(error)
    if isinstance(raw, str):
        try:
            return msgspec.convert(raw, wanted, strict=False)
        except msgspec.ValidationError as error:
            said = str(error)
    what, fix = _explain(said, raw)
    problems.append(SettingsError(what, where=str(place), fix=fix))
    return _INVALID


def _already_typed(wanted: type[Any], value: Any) -> Any:
    if isinstance(value, wanted):
        return value
    raise msgspec.ValidationError(f"Expected `{wanted.__name__}`")


def _explain(message: str, raw: object) -> tuple[str, str]:
    """What msgspec found, in words a person uses for YAML, without the value."""
    names = re.search(r"Expected `([^`]+)`(?:, got `(\w+)`)?(.*)", message)
    if not names:
        return "cannot be used: it does not have the form this setting needs", "see hookline.example.yaml"
    wanted = " or ".join(_WORDS.get(name, name) for name in names[1].split(" | ") if name != "null")
    bounds = names[3].split(" - at ")[0]
    bounds = bounds.replace("of length >= 1", "that is not empty").replace("matching regex", "of the form")
    if "str" in names[1] and isinstance(raw, int | float):
        return f"must be {wanted}{bounds}", "put the value in quotes"
    example = {"array": ": [a, b]", "object": ": {key: value}"}.get(names[1], "")
    return f"must be {wanted}{bounds}", f"write {wanted}{bounds}{example}"


def _secret(raw: object, place: Place, problems: list[SettingsError]) -> Any:
    if isinstance(raw, Secret):
        return raw
    if isinstance(raw, str):
        return Secret(raw)
    problems.append(SettingsError("must be text", where=str(place), fix="put the value in quotes"))
    return _INVALID


def _duration(raw: object, place: Place, problems: list[SettingsError]) -> Any:
    match = _DURATION.fullmatch(raw.strip()) if isinstance(raw, str) else None
    seconds = int(match[1]) * _UNITS[match[2]] if match else 0
    if 0 < seconds <= 3650 * 86400:
        return timedelta(seconds=seconds)
    problems.append(
        SettingsError("must be a time span above zero", where=str(place), fix="write 30s, 10m, 12h, 7d or 2w")
    )
    return _INVALID


def _tagged(structs: list[Any], raw: Mapping[str, Any], place: Place, problems: list[SettingsError]) -> Any:
    field = structs[0].__struct_config__.tag_field
    by_tag = {struct.__struct_config__.tag: struct for struct in structs}
    chosen = by_tag.get(raw.get(field))
    if chosen is None:
        what = f"`{field}` must be one of {', '.join(map(str, by_tag))}"
        problems.append(SettingsError(what, where=str(place), fix=f"add `{field}: {next(iter(by_tag))}`, say"))
        return _INVALID
    return _struct(chosen, raw, place, problems)


def _bare(wanted: Any) -> Any:
    while get_origin(wanted) is Annotated:
        wanted = get_args(wanted)[0]
    return wanted


def _is_struct(wanted: Any) -> bool:
    return isinstance(wanted, type) and issubclass(wanted, msgspec.Struct)


def _keys(cls: type[Any]) -> str:
    names = ", ".join(field.encode_name for field in msgspec.structs.fields(cls))
    return f"there are: {names}" if names else "there are no settings here"
