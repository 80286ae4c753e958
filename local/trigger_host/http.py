"""HTTP triggers, and the host's own addresses below /local/.

    POST /local/fire/{function}   run a timer function now; answers when it has ended
    GET  /local/idle              whether anything is at work, queued, unread or not yet delivered

Function keys are not asked for: the host listens on the loopback only.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local.trigger_host.executions import Executions
from local.trigger_host.protocol import RpcHttp, TypedData
from local.trigger_host.runtime import Function

if TYPE_CHECKING:
    from local.trigger_host.host import TriggerHost

#: bytes; the limit of Azure Functions (https://learn.microsoft.com/azure/azure-functions/functions-bindings-http-webhook-trigger#limits)
MAX_BODY = 100 * 1024 * 1024
METHODS = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"]

Endpoint = Callable[[Request], Awaitable[Response]]


def web_app(host: TriggerHost) -> Starlette:
    """The routes of all HTTP functions below the prefix of host.json, and the host's own."""
    prefix = host.executions.settings.route_prefix
    routes = [
        Route("/local/fire/{function}", _fire(host), methods=["POST"]),
        Route("/local/idle", _idle(host), methods=["GET"]),
    ]
    for function in host.app.functions.values():
        binding = function.trigger
        if binding["type"] == "httpTrigger":
            # {name:constraint} is ASP.NET's; the constraint is not enforced here
            path = re.sub(r"\{(\w+)[^}]*\}", r"{\1}", binding.get("route") or function.name)
            routes.append(
                Route(
                    "/" + "/".join(filter(None, (prefix, path.strip("/")))),
                    _endpoint(function, host.executions),
                    methods=[str(method) for method in binding.get("methods") or METHODS],
                    name=function.name,
                )
            )
    return Starlette(routes=routes)


def _endpoint(function: Function, executions: Executions) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY:
                return JSONResponse({"error": "the request is larger than 100 MB"}, 413)
        http = RpcHttp(
            method=request.method,
            url=str(request.url),
            headers=dict(request.headers),
            params={name: str(value) for name, value in request.path_params.items()},
            query=dict(request.query_params),
            body=TypedData(bytes=bytes(body)),
        )
        trigger = f"{request.method} {request.url.path}"
        result = await executions.run(function, TypedData(http=http), {}, trigger=trigger)
        if result.error:
            return JSONResponse({"error": result.error}, 500)
        return _response(result.returned)

    return endpoint


def _response(returned: TypedData | None) -> Response:
    if returned is None:
        return Response(status_code=204)
    if returned.kind != "http":
        return Response(str(returned.value))
    http = returned.value
    return Response(http.body.value, status_code=int(http.status_code), headers=dict(http.headers))


def _fire(host: TriggerHost) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        name = request.path_params["function"]
        timer = host.timers.get(name)
        if timer is None:
            return JSONResponse({"error": f"there is no timer {name!r}", "timers": sorted(host.timers)}, 404)
        result = await timer.fire()
        return JSONResponse({"function": name, "outcome": "failed" if result.error else "ok", "error": result.error})

    return endpoint


def _idle(host: TriggerHost) -> Endpoint:
    async def endpoint(_: Request) -> Response:
        return JSONResponse(await host.idle())

    return endpoint
