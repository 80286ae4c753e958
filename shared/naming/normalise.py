"""Purview's own normalisation of qualified names, to be applied before names are compared.

The rules and the products they apply to: learn.microsoft.com/purview/concept-asset-normalization (2022 and 2023).
Their exact form (regular expressions, names of types, order): a recorded answer of
GET account/resourceSetRuleConfigs/defaultResourceSetRuleConfig (tayganr/purviewcli, getResourceSetRule.md).
The recording lists types; the page says products, and is newer: a type counts by its product, so views count too.
These are the only differences Purview forgives: the case of a path, database, schema or table is never one of them.
Numbers in comments are the page's order. Rules run in an order in which a second run changes nothing.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable

_SQL = ("azure_sql_",)
_ADF = ("azure_data_factory", "adf_")
_SHARE = ("ads_",)
_GEN1 = ("azure_datalake_gen1_",)
# Blob, Files, Data Lake Gen1 and Gen2, SQL (Database, Managed Instance, pool), Cosmos DB, Search, Data Explorer, S3
_MOST = (
    "azure_storage_",
    "azure_blob_",
    "azure_file",
    "azure_datalake_gen2_",
    "azure_cosmosdb_",
    "azure_cognitive_search_",
    "azure_data_explorer_",
    "aws_s3_v2_",
    *_GEN1,
    *_SQL,
)
_FILES = frozenset(
    ("azure_blob_path", "azure_datalake_gen1_path", "azure_datalake_gen2_path", "azure_file", "aws_s3_v2_object")
)
_NO_TRAILING_SLASH = frozenset(
    (
        "azure_blob_container",
        "azure_blob_service",
        "azure_storage_account",
        "azure_datalake_gen2_service",
        "azure_datalake_gen2_filesystem",
        "azure_datalake_gen1_account",
    )
)
#: segments after which an ADF segment is lower-cased, spelled so and no other way
_ADF_WORDS = frozenset(("subscriptions", "resourceGroups", "providers", "factories", "pipelines", "activities"))

_SEPARATOR = re.compile(r"([/:.])")
_HOST = re.compile(r"(?<=://)[^:/]+|(?<=\Aurn:)[^:/]+")
_BRACKETS = re.compile(r"\[[^/]*?\]")
_SPACE = re.compile(r"\s")
_SCHEME = re.compile(r"\A[^:/]+(?=://)")
_EXTENSION = re.compile(r"\.[^./]{2,5}\Z")
_SLASHES = re.compile(r"(?<=[^:])/{2,}")
_HTTP = re.compile(r"\Ahttps?://")


def _encode_braces(name: str) -> str:  # 1
    return name.replace("{", "%7B").replace("}", "%7D")


def _trim_sections(name: str) -> str:  # 2
    return "".join(section.strip() for section in _SEPARATOR.split(name))


def _remove_host_spaces(name: str) -> str:  # 3
    return _HOST.sub(lambda found: _SPACE.sub("", found[0]), name, count=1)


def _remove_brackets(name: str) -> str:  # 4
    return _BRACKETS.sub(lambda found: _SPACE.sub("%20", found[0].replace("[", "").replace("]", "")), name)


def _lower_scheme(name: str) -> str:  # 5
    return _SCHEME.sub(_lower, name)


def _lower_host(name: str) -> str:  # 6
    return _HOST.sub(_lower, name, count=1)


def _lower_extension(name: str) -> str:  # 7
    return _EXTENSION.sub(_lower, name)


def _single_slashes(name: str) -> str:  # 8
    return _SLASHES.sub("/", name)


def _lower_adf(name: str) -> str:  # 9
    segments = name.split("/")
    # the first segment stands before the first slash, so no word stands before it
    for i in range(2, len(segments)):
        if segments[i - 1] in _ADF_WORDS:
            segments[i] = segments[i].lower()
    return "/".join(segments)


def _adl_scheme(name: str) -> str:  # 10
    return _HTTP.sub("adl://", name)


def _no_trailing_slash(name: str) -> str:  # 11
    while name.endswith("/") and not name.endswith("://"):
        name = name[:-1]
    return name


def _lower(found: re.Match[str]) -> str:
    return found[0].lower()


Rule = Callable[[str], str]


@functools.lru_cache(maxsize=4096)
def rules(type_name: str) -> tuple[Rule, ...]:
    """The rules for a type, in the order in which they run."""
    steps: list[Rule] = []
    # Braces mean something in the names of resource sets ({N}, {Year}), and recorded ones have them.
    if not type_name.endswith("_resource_set"):
        steps.append(_encode_braces)
    if type_name.startswith(_SQL):
        steps.append(_remove_brackets)
    if type_name.startswith((*_MOST, *_ADF, *_SHARE)):
        steps += (_trim_sections, _single_slashes)
    if type_name.startswith((*_MOST, *_SHARE)):
        steps.append(_remove_host_spaces)
    if type_name.startswith(_MOST):
        steps += (_lower_scheme, _lower_host)
    if type_name in _FILES:
        steps.append(_lower_extension)
    if type_name.startswith(_ADF):
        steps.append(_lower_adf)
    if type_name.startswith(_GEN1):
        steps.append(_adl_scheme)
    if type_name in _NO_TRAILING_SLASH:
        steps.append(_no_trailing_slash)
    return tuple(steps)


def normalises(type_name: str) -> bool:
    """Whether more than braces may change in the names of this type."""
    return len(rules(type_name)) > 1


def normalise(type_name: str, qualified_name: str) -> str:
    """The qualified name as Purview stores it. Idempotent."""
    for rule in rules(type_name):
        qualified_name = rule(qualified_name)
    return qualified_name
