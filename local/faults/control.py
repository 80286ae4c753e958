"""How another process sets the faults of a stand-in: POST /local/http-faults with a list, GET for what has struck."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from local.faults.http import HttpFault, HttpFaults

PATH = "/local/http-faults"


def fault_routes(faults: HttpFaults) -> list[Route]:
    """POST sets these faults and no others, and answers as GET does: {name of the fault: hits so far}.

    The answer to POST counts what the faults that end with it have done.
    """

    def answered(body: object, status: int = 200) -> Response:
        return Response(msgspec.json.encode(body), status, media_type="application/json")

    async def change(request: Request) -> Response:
        try:
            wanted = msgspec.json.decode(await request.body(), type=list[HttpFault])
        except (msgspec.ValidationError, msgspec.DecodeError, ValueError) as error:
            return answered({"error": str(error)}, 400)
        hits = dict(faults.hits)
        faults.set(wanted)
        return answered(hits)

    def look(_: Request) -> Response:
        return answered(dict(faults.hits))

    return [Route(PATH, change, methods=["POST"]), Route(PATH, look, methods=["GET"])]
