"""hookline.yaml as typed settings, secrets, and schedules.

    settings = load(Path("hookline.yaml"), os.environ)
    secrets = Secrets(azure.key_vault(), os.environ)
    source = cls(connector_settings(settings, "crm", cls.Settings, secrets), ...)

What is wrong with one instance disables that instance, by name and with its reason, in `Settings.disabled`; the rest of
the app goes on. Only what is wrong with the file as a whole raises.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from shared.errors import SettingsError
from shared.settings import document, schedule
from shared.settings.aliases import read_aliases
from shared.settings.convert import convert, convert_all, nearest
from shared.settings.document import Place
from shared.settings.model import (
    INSTANCE_NAME,
    RESERVED_NAMES,
    Hook,
    Instance,
    KeyVault,
    Landing,
    Limits,
    Purview,
    RawSettings,
    ReceiptSettings,
)
from shared.settings.redact import redact
from shared.settings.schedule import due, next_time
from shared.settings.secrets import Secret, Secrets, names_in, resolve

__all__ = [
    "Hook",
    "Instance",
    "KeyVault",
    "Landing",
    "Limits",
    "Place",
    "Purview",
    "RawSettings",
    "ReceiptSettings",
    "Secret",
    "Secrets",
    "Settings",
    "connector_settings",
    "convert",
    "due",
    "load",
    "names_in",
    "next_time",
    "redact",
    "resolve",
]

S = TypeVar("S", bound=msgspec.Struct)

#: environment variables that go before the file: a laptop points a real configuration at its local catalogue with them
ENDPOINT_VARIABLE = "HOOKLINE_PURVIEW_ENDPOINT"
AUTH_VARIABLE = "HOOKLINE_PURVIEW_AUTH"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The whole of hookline.yaml.

    instances: the usable ones by name (also those with `enabled: false`); places: where each stands in the file.
    disabled:  the others, with the first error of each; problems: every error.
    aliases:   other names of hosts, in lower case -> the host as scanned.
    """

    purview: Purview = Purview()
    secrets: KeyVault = KeyVault()
    landing: Landing = Landing()
    limits: Limits = Limits()
    receipts: ReceiptSettings = ReceiptSettings()
    aliases: dict[str, str] = {}
    instances: dict[str, Instance] = {}
    disabled: dict[str, SettingsError] = {}
    problems: list[SettingsError] = []
    places: dict[str, Place] = {}

    def instance(self, name: str) -> Instance:
        """One usable instance. Raises SettingsError: unknown, with the nearest name; disabled, with its error."""
        if name in self.disabled:
            raise self.disabled[name]
        if name not in self.instances:
            known = ", ".join(sorted(self.instances)) or "none"
            raise SettingsError(
                f"there is no instance `{name}`", fix=f"{nearest(name, self.instances)}hookline.yaml has: {known}"
            )
        return self.instances[name]

    def collection(self, name: str) -> tuple[str, str]:
        """The collection for what an instance creates (or an uploaded file), and which key says so; empty: the root."""
        own = self.instances.get(name)
        if own is not None and own.collection:
            return own.collection, f"instances.{name}.collection"
        return self.purview.collection, "purview.collection"


_SECTIONS: dict[str, type[msgspec.Struct]] = {
    "purview": Purview,
    "secrets": KeyVault,
    "landing": Landing,
    "limits": Limits,
    "receipts": ReceiptSettings,
}


def load(path: Path | str, environ: Mapping[str, str], *, offline: bool = False) -> Settings:
    """Read and check hookline.yaml. `${env:X}` outside of connectors' settings is resolved here.

    offline: do not insist on a Purview account (commands that only read or write files).
    Raises SettingsError: the file cannot be read or parsed, or a section other than `instances` is wrong.
    """
    raw, place = document.read(Path(path))
    return from_mapping(raw, environ, place, offline=offline)


def from_mapping(
    raw: Mapping[str, Any], environ: Mapping[str, str], place: Place, *, offline: bool = False
) -> Settings:
    """As `load`, from an already parsed file."""
    for key in raw:
        names = (*_SECTIONS, "aliases", "instances")
        if key not in names:
            fix = f"{nearest(key, names)}there are: {', '.join(names)}"
            raise SettingsError(f"unknown key `{key}`", where=str(place.at(key)), fix=fix)
    environment = Secrets(None, environ)
    sections = {name: _section(cls, name, raw, environment, place) for name, cls in _SECTIONS.items()}
    purview = sections["purview"]
    if not offline and isinstance(purview, Purview) and not purview.base_url:
        raise SettingsError(
            "no Purview account is configured", where=str(place.at("purview")), fix="add `purview: {account: <name>}`"
        )
    here = place.at("aliases")
    aliases = read_aliases(resolve(raw.get("aliases"), environment, here), here)
    instances = raw.get("instances") or {}
    if not isinstance(instances, Mapping):
        raise SettingsError(
            "`instances` must be a block of `name:` lines",
            where=str(place.at("instances")),
            fix="see hookline.example.yaml",
        )
    made = Settings(aliases=aliases, instances={}, disabled={}, problems=[], places={})
    settings = msgspec.structs.replace(made, **sections)
    for name, block in instances.items():
        here = place.at("instances", name)
        problems: list[SettingsError] = []
        instance = _instance(name, block, environment, here, problems)
        settings.places[name] = here
        if instance is not None and not problems:
            settings.instances[name] = instance
        else:
            settings.disabled[name] = problems[0]
            settings.problems.extend(problems)
    return settings


def connector_settings(settings: Settings, name: str, cls: type[S], secrets: Secrets) -> S:
    """The `settings:` block of an instance, references resolved, as the connector's Settings class.

    Raises SettingsError (unknown instance or key, wrong type), SecretUnresolved, Transient.
    """
    instance = settings.instance(name)
    place = settings.places.get(name, Place(path=("instances", name))).at("settings")
    return convert(cls, resolve(instance.settings, secrets, place), place)


def _section(
    cls: type[msgspec.Struct], name: str, raw: Mapping[str, Any], environment: Secrets, place: Place
) -> msgspec.Struct:
    here = place.at(name)
    block = raw.get(name) or {}
    if name == "purview" and isinstance(block, Mapping):
        overrides = {"endpoint": ENDPOINT_VARIABLE, "auth": AUTH_VARIABLE}
        block = {**block, **{key: environment.env(var) for key, var in overrides.items() if environment.has(var)}}
    return convert(cls, resolve(block, environment, here), here)


def _instance(
    name: str, block: Any, environment: Secrets, here: Place, problems: list[SettingsError]
) -> Instance | None:
    if not INSTANCE_NAME.fullmatch(name) or name in RESERVED_NAMES:
        problems.append(
            SettingsError(
                f"`{name}` cannot be the name of an instance",
                where=str(here),
                fix="use at most 63 small letters, digits and hyphens, beginning with a letter or digit; not `uploads`",
            )
        )
        return None
    own = block.get("settings") if isinstance(block, Mapping) else None
    if own is not None and not isinstance(own, Mapping):
        problems.append(
            SettingsError("must be a block of `key: value` lines", where=str(here.at("settings")), fix="indent them")
        )
        return None
    try:
        if isinstance(block, Mapping):
            outside = {key: value for key, value in block.items() if key != "settings"}
            block = {**resolve(outside, environment, here), "settings": RawSettings(own or {})}
        instance = convert_all(Instance, block, here, problems)
        if instance is not None:
            schedule.check(instance.schedule, here.at("schedule"))
    except SettingsError as error:
        problems.append(error)
        return None
    return instance
