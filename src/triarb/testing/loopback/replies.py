"""How answers leave the loopback exchange, whole or spoilt."""

import json
from typing import Any

from aiohttp import web

from triarb.testing.faults import Alter, Answer, Duplicate, Request

NOT_FOUND = "<html><body><h2>404 Not found</h2></body></html>"


def page(status: int, body: str) -> web.Response:
    """A page of HTML, or whatever else `body` is."""
    return web.Response(status=status, text=body, content_type="text/html")


def answer(status: int, told: Any, retry_after: int | None = None) -> web.Response:
    """JSON."""
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return web.Response(
        status=status, text=json.dumps(told), content_type="application/json", headers=headers
    )


def error(status: int, code: int, message: str, retry_after: int | None = None) -> web.Response:
    """A refusal, as Binance says it."""
    return answer(status, {"code": code, "msg": message}, retry_after)


def banned(status: int, seconds: int) -> web.Response:
    """The word that nothing is answered for that long."""
    return error(status, -1003, "Way too much request weight used; IP banned.", seconds)


def instead(fault: Answer) -> web.Response:
    """What a script answers."""
    headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
    kind = "text/html" if fault.code is None else "application/json"
    return web.Response(status=fault.status, text=fault.text, content_type=kind, headers=headers)


def dropped(request: web.Request) -> web.Response:
    """Nothing: the connection is reset."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def half(request: web.Request, whole: web.Response) -> web.StreamResponse:
    """The first half of a body that was announced whole, then the end of the connection."""
    body = (whole.text or "").encode()
    response = web.StreamResponse(status=whole.status, headers=whole.headers)
    response.content_length = len(body)
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()
    return response


def distorted(told: Any, request: Request) -> Any:
    """A good answer as the faults of its request change it."""
    if request.first(Duplicate):
        if isinstance(told, list):
            told = [*told[::-1], *told[::-1]]
        elif "fills" in told:
            told = told | {"fills": [*told["fills"][::-1], *told["fills"][::-1]]}
    alter = request.first(Alter)
    if alter is not None:
        rows = told if isinstance(told, list) else [told]
        rows = [row | alter.fields for row in rows]
        told = rows if isinstance(told, list) else rows[0]
    return told
