"""A file that a page sends along: a multipart form (RFC 7578) of two fields, ``about`` (JSON: the
click's key and what the card showed) and ``file``."""

from __future__ import annotations

from typing import Any

import orjson
from aiohttp import BodyPartReader, MultipartReader, web

from bot.console.read_action import read_key
from bot.press import Press, read_press
from desk.errors import Refused
from desk.files import MAX_BYTES, NewFile
from desk.moves import Verb

LONGEST_ABOUT = 4096
ODD = "The page sent something that this Maildesk does not understand: reload it"
TOO_LARGE = f"The file is larger than {MAX_BYTES // 1024 // 1024} MB: send a link instead"


async def read_upload(request: web.Request) -> tuple[str, Press, NewFile]:
    """The click's key, what it is about, and the file. Refused when it is none or too large; then
    the rest is not read."""
    if not request.content_type.startswith("multipart/"):
        raise Refused(ODD)
    form = await request.multipart()
    said = _object(await _bytes(await _part(form, "about"), LONGEST_ABOUT))
    part = await _part(form, "file")
    data = await _bytes(part, MAX_BYTES)
    press = read_press({**said, "verb": Verb.ATTACH})
    file = NewFile(part.filename or "file", part.headers.get("Content-Type", ""), data)
    return read_key(said), press, file


async def _part(form: MultipartReader, name: str) -> BodyPartReader:
    try:
        part = await form.next()
    except ValueError:
        part = None
    if not isinstance(part, BodyPartReader) or part.name != name:
        raise Refused(ODD)
    return part


async def _bytes(part: BodyPartReader, most: int) -> bytes:
    read = bytearray()
    while chunk := await part.read_chunk(64 * 1024):
        read += chunk
        if len(read) > most:
            raise Refused(TOO_LARGE)
    return bytes(read)


def _object(raw: bytes) -> dict[str, Any]:
    try:
        said = orjson.loads(raw)
    except orjson.JSONDecodeError:
        said = None
    if not isinstance(said, dict):
        raise Refused(ODD)
    return said
