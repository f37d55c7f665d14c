"""How the loopback Graph answers: ids of either kind, errors in Graph's form, cut bodies."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from tests.doubles.graph_mailbox import Message

VERB = re.compile(r"singleValueExtendedProperties\(\$filter=id eq 'Integer 0x1081'\)")


def identified(value: Any, is_immutable: bool) -> Any:
    """Messages that stand for their ids become ids."""
    if isinstance(value, Message):
        return value.id if is_immutable else value.place
    if isinstance(value, Mapping):
        return {name: identified(one, is_immutable) for name, one in value.items()}
    return [identified(one, is_immutable) for one in value] if isinstance(value, list) else value


def some_of(
    messages: Sequence[Message], request: web.Request, url: str, most: int
) -> dict[str, Any]:
    """A page of a list, as "List messages" and "Get singleValueLegacyExtendedProperty" show it: a
    property that a message does not have is not there."""
    asked = VERB.fullmatch(request.query.get("$expand", ""))
    start, size = int(request.query.get("$skip", "0")), int(request.query.get("$top", "10"))
    size = min(size, most or size)
    value: list[dict[str, Any]] = []
    for message in messages[start : start + size]:
        said = {"id": "Integer 0x1081", "value": str(message.last_verb)}
        has = {"singleValueExtendedProperties": [said]} if asked and message.last_verb else {}
        value.append({"id": message, **has})
    if start + size >= len(messages):
        return {"value": value}
    query = urlencode({**request.query, "$skip": str(start + size)})
    return {"value": value, "@odata.nextLink": f"{url}{request.path}?{query}"}


async def mime_of(request: web.Request) -> bytes | None:
    """The mail in the body; None when it is not base64 of one."""
    if request.content_type != "text/plain":
        return None
    try:
        raw = base64.b64decode(await request.read(), validate=True)
    except binascii.Error:
        return None
    return raw if b":" in raw else None


def not_found() -> web.Response:
    return error(404, "ErrorItemNotFound", "The specified object was not found in the store.")


def error(
    status: int, code: str, message: str, retry_after: str = "", location: str = ""
) -> web.Response:
    headers = {"Retry-After": retry_after} if retry_after else {}
    if location:
        headers["Location"] = location
    record = {"error": {"code": code, "message": message, "innerError": {}}}
    return web.json_response(record, status=status, headers=headers)


async def cut_off(request: web.Request, whole: web.StreamResponse) -> web.StreamResponse:
    """Says how much will come, sends half, and hangs up."""
    body = whole.body if isinstance(whole, web.Response) else b""
    content = body if isinstance(body, bytes) else b""
    response = web.StreamResponse(headers={"Content-Length": str(len(content))})
    await response.prepare(request)
    await response.write(content[: len(content) // 2])
    if request.transport is not None:
        request.transport.close()
    return response
