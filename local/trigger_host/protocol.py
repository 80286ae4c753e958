"""The messages that the Functions host and its Python worker exchange, as plain objects.

`azure-functions-runtime` takes the module with the generated gRPC messages as an argument (`protos`) and uses only
their attributes and `WhichOneof`. Names and fields are those of FunctionRpc.proto in the repository
Azure/azure-functions-language-worker-protobuf.
"""
# ruff: noqa: N802 - the names are the protocol's

from __future__ import annotations

from types import SimpleNamespace
from typing import Any


class TypedData:
    """One value: exactly one of string, json, bytes, int, double, http, collection_bytes, model_binding_data."""

    def __init__(self, **data: Any) -> None:
        ((self.kind, self.value),) = data.items()
        setattr(self, self.kind, self.value)

    def WhichOneof(self, group: str) -> str:
        assert group == "data"
        return self.kind


class ParameterBinding:
    """The value of one parameter, by name."""

    def __init__(self, name: str, data: TypedData) -> None:
        self.name = name
        self.data = data

    def WhichOneof(self, group: str) -> str:
        assert group == "rpc_data"
        return "data"


class BindingInfo(SimpleNamespace):
    """What the worker says about a binding; the constants are the directions and data types it compares with."""

    undefined, string, binary, stream = 0, 1, 2, 3
    out, inout = 1, 2


class StatusResult(SimpleNamespace):
    Failure, Success = 0, 1
    exception: Any = None


class RpcHttp(SimpleNamespace):
    """An HTTP request or response."""


class CollectionBytes(SimpleNamespace):
    """The bodies of a batch of events: `bytes`."""


class ModelBindingData(SimpleNamespace):
    """A reference that an SDK type is made from: version, source, content_type, content (JSON)."""


class RpcException(SimpleNamespace):
    """message, stack_trace."""


class RpcRetryOptions(SimpleNamespace):
    """max_retry_count, retry_strategy, delay_interval or minimum_interval and maximum_interval (timedelta)."""


class RpcFunctionMetadata(SimpleNamespace):
    """A function as the worker has indexed it; `raw_bindings` are the JSON objects of a function.json."""


class WorkerMetadata(SimpleNamespace):
    pass


class WorkerInitResponse(SimpleNamespace):
    pass


class FunctionMetadataResponse(SimpleNamespace):
    pass


class InvocationResponse(SimpleNamespace):
    return_value: TypedData | None = None
    output_data: tuple[ParameterBinding, ...] = ()
