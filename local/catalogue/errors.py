"""What Atlas answers when it says no: a status, a code such as ATLAS-404-00-009, and a sentence.

Codes and wording: org.apache.atlas.AtlasErrorCode. Over REST they are the answer; on the hook nobody sees them.
"""

from __future__ import annotations


class AtlasError(Exception):
    """An answer of the catalogue: HTTP status, Atlas's error code, message."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message

    def body(self) -> dict[str, str]:
        return {"errorCode": self.code, "errorMessage": self.message}


def invalid(message: str) -> AtlasError:
    """INSTANCE_CRUD_INVALID_PARAMS."""
    return AtlasError(400, "ATLAS-404-00-007", f"Invalid instance creation/updation parameters passed : {message}")


def bad_request(message: str) -> AtlasError:
    """BAD_REQUEST: the call itself is not understood."""
    return AtlasError(400, "ATLAS-400-00-020", message)


def unknown_type(name: object) -> AtlasError:
    """TYPE_NAME_NOT_FOUND."""
    return AtlasError(404, "ATLAS-404-00-001", f"Given typename {name} was invalid")


def unknown_guid(guid: str) -> AtlasError:
    """INSTANCE_GUID_NOT_FOUND."""
    return AtlasError(404, "ATLAS-404-00-005", f"Given instance guid {guid} is invalid/not found")


def unknown_name(type_name: str, qualified_name: object) -> AtlasError:
    """INSTANCE_BY_UNIQUE_ATTRIBUTE_NOT_FOUND."""
    return AtlasError(
        404,
        "ATLAS-404-00-009",
        f"Instance {type_name} with unique attribute {{qualifiedName={qualified_name}}} does not exist",
    )


def unknown_reference(reference: object) -> AtlasError:
    """REFERENCED_ENTITY_NOT_FOUND."""
    return AtlasError(404, "ATLAS-404-00-00A", f"Referenced entity {reference} is not found")


def wrong_end(relationship: str, end1: str, end2: str) -> AtlasError:
    """INVALID_RELATIONSHIP_END_TYPE: what Atlas says of a lineage endpoint that is no DataSet."""
    return AtlasError(
        400, "ATLAS-400-00-036", f"invalid relationshipDef: {relationship}: end type 1: {end1}, end type 2: {end2}"
    )


def type_exists(name: str) -> AtlasError:
    """TYPE_ALREADY_EXISTS."""
    return AtlasError(409, "ATLAS-409-00-001", f"Given type {name} already exists")
