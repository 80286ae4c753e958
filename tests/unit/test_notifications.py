"""What the catalogue says it took: real envelopes are read, and nothing that lies in a shared hub does harm."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.delivery.notifications import Notice, notices
from shared.naming import Name

#: as devlace/purview-pubsub captured it from Purview
CAPTURED = {
    "version": {"version": "1.0.0", "versionParts": [1]},
    "msgCompressionKind": "NONE",
    "msgSplitIdx": 1,
    "msgSplitCount": 1,
    "msgSourceIP": "10.0.0.4",
    "msgCreatedBy": "",
    "msgCreationTime": 1767225601541,
    "message": {
        "type": "ENTITY_NOTIFICATION_V2",
        "operationType": "ENTITY_CREATE",
        "eventTime": 1767225601110,
        "entity": {
            "typeName": "pvc_table",
            "guid": "938fa19f-c616-4e98-a3ad-0cf46250ccc6",
            "status": "ACTIVE",
            "displayText": "orders",
            "attributes": {"name": "orders", "qualifiedName": "acme://crm01/sales/public/orders"},
        },
    },
}
ORDERS = Name("pvc_table", "acme://crm01/sales/public/orders")


def heard(**message: Any) -> list[Notice]:
    body = {**CAPTURED, "message": {**CAPTURED["message"], **message}}  # type: ignore[dict-item]
    return list(notices([json.dumps(body).encode()]))


def test_a_captured_one() -> None:
    assert heard() == [Notice("create", ORDERS, 1767225601110)]


@pytest.mark.parametrize(
    ("operation", "meant"),
    [
        ("ENTITY_CREATE", "create"),
        ("ENTITY_UPDATE", "create"),
        ("ENTITY_DELETE", "delete"),
        ("CLASSIFICATION_ADD", None),
        ("RELATIONSHIP_CREATE", None),
        ("", None),
    ],
)
def test_operations(operation: str, meant: str | None) -> None:
    assert [n.operation for n in heard(operationType=operation)] == ([meant] if meant else [])


def test_a_shell_is_not_the_asset() -> None:
    entity = CAPTURED["message"]["entity"]  # type: ignore[index]
    assert heard(entity={**entity, "isIncomplete": True}) == []
    assert len(heard(entity={**entity, "isIncomplete": False})) == 1


def test_the_envelope_says_when_where_the_event_does_not() -> None:
    assert heard(eventTime=0)[0].time == 1767225601541


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[1]",
        b"{}",
        b"\xff\xfe{",
        b"[" * 100_000,
        b'{"message": "H4sIAAAA"}',
        b'{"message": {"operationType": "ENTITY_CREATE"}}',
        b'{"message": {"operationType": "ENTITY_CREATE", "entity": {"typeName": "t", "attributes": null}}}',
        b'{"message": {"operationType": "ENTITY_CREATE", "entity": {"typeName": "t", "attributes": {"qualifiedName": 5}}}}',  # noqa: E501
        b'{"message": {"operationType": "ENTITY_CREATE", "eventTime": 1e400, "entity": {"typeName": "t"}}}',
    ],
)
def test_anything_else_is_passed_over(body: bytes) -> None:
    good = json.dumps(CAPTURED).encode()
    assert [n.name for n in notices([good, body, good])] == [ORDERS, ORDERS]


@given(st.binary(max_size=200))
def test_never_raises(body: bytes) -> None:
    assert list(notices([body])) == []
