"""The function app in Microsoft's own runtime: index it, run one function.

    app = FunctionApp.load(Path("."), {"AzureWebJobsStorage": "..."})
    result = await app.invoke(app.functions["transform"], TypedData(model_binding_data=...), {})

The runtime keeps the app in module globals, so there is one app per process.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import sys
import uuid
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from local.trigger_host import protocol
from local.trigger_host.protocol import ParameterBinding, TypedData
from shared.errors import HooklineError


@dataclass(frozen=True)
class Retry:
    """The retry policy of a function; `max_retries` -1 means for ever. Intervals in seconds."""

    max_retries: int
    first: float
    longest: float


@dataclass(frozen=True)
class Function:
    """One indexed function. `bindings` are the objects of its function.json: type, name, direction and the rest."""

    name: str
    id: str
    bindings: tuple[dict[str, Any], ...]
    retry: Retry | None

    @property
    def trigger(self) -> dict[str, Any]:
        return next(b for b in self.bindings if b["type"].endswith("Trigger"))

    def output(self, name: str) -> dict[str, Any]:
        return next(b for b in self.bindings if b["name"] == name)


@dataclass(frozen=True)
class Result:
    """What one execution gave. `error` is empty when it succeeded; `outputs` are the values of its output bindings."""

    error: str = ""
    stack_trace: str = ""
    returned: TypedData | None = None
    outputs: dict[str, TypedData] = field(default_factory=dict)


class FunctionApp:
    """An indexed app, ready to run."""

    def __init__(self, functions: dict[str, Function]) -> None:
        self.functions = functions

    @classmethod
    def load(cls, folder: Path, settings: dict[str, str]) -> FunctionApp:
        """Index the app in `folder` as the worker does when it starts. `settings` become environment variables.

        Raises HooklineError with the runtime's own words when the app cannot be indexed.
        """
        folder = folder.resolve()
        if not (folder / "function_app.py").is_file():
            raise HooklineError("there is no function app", where=str(folder), fix="name the folder of function_app.py")
        os.environ.update(settings)
        os.chdir(folder)
        sys.path.insert(0, str(folder))
        runtime = importlib.import_module("azure_functions_runtime")
        runtime.start_threadpool_executor()
        request = SimpleNamespace(
            request=SimpleNamespace(
                worker_init_request=SimpleNamespace(capabilities={}, function_app_directory=str(folder))
            ),
            properties={"host": "127.0.0.1", "protos": protocol},
        )
        answer = asyncio.run(runtime.worker_init_request(request))
        if answer.result.status != protocol.StatusResult.Success:
            raise HooklineError(
                f"the function app cannot be indexed: {answer.result.exception.message}",
                where=str(folder),
                fix="in Azure every function would vanish; the stack trace below names the line\n"
                + answer.result.exception.stack_trace,
            )
        listed = asyncio.run(runtime.functions_metadata_request(request)).function_metadata_results or []
        return cls({f.name: _function(f) for f in listed})

    async def invoke(
        self, function: Function, data: TypedData, metadata: dict[str, TypedData], attempt: int = 0
    ) -> Result:
        """Run one function in the runtime's thread pool.

        data: the trigger's value; metadata: what describes it; attempt: how many were made before.
        """
        runtime = importlib.import_module("azure_functions_runtime")
        invocation = SimpleNamespace(
            invocation_id=str(uuid.uuid4()),
            function_id=function.id,
            input_data=[ParameterBinding(function.trigger["name"], data)],
            trigger_metadata=metadata,
            trace_context=SimpleNamespace(trace_parent="", trace_state="", attributes={}),
            retry_context=SimpleNamespace(
                retry_count=attempt,
                max_retry_count=function.retry.max_retries if function.retry else 0,
                exception=None,
            ),
        )
        answer = await runtime.invocation_request(
            SimpleNamespace(request=SimpleNamespace(invocation_request=invocation))
        )
        if answer.result.status != protocol.StatusResult.Success:
            return Result(error=answer.result.exception.message, stack_trace=answer.result.exception.stack_trace)
        return Result(returned=answer.return_value, outputs={out.name: out.data for out in answer.output_data})


def _function(indexed: Any) -> Function:
    options = indexed.retry_options
    retry = None
    if options is not None:
        fixed: timedelta | None = getattr(options, "delay_interval", None)
        first: timedelta = fixed if fixed is not None else options.minimum_interval
        longest: timedelta = fixed if fixed is not None else options.maximum_interval
        retry = Retry(options.max_retry_count, first.total_seconds(), longest.total_seconds())
    bindings = tuple(json.loads(raw) for raw in indexed.raw_bindings)
    return Function(indexed.name, indexed.function_id, bindings, retry)
