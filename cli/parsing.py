"""The command parse: it loads no model."""

from __future__ import annotations

from collections.abc import Sequence

from cli import output
from cli.output import Record
from mail.parse import as_json, parse


async def parse_files(files: Sequence[str], is_json: bool) -> None:
    async def one(raw: bytes) -> Record:
        return as_json(parse(raw))

    await output.run(files, one, is_json)
