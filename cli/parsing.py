"""The command parse: it loads no model. A mail that stops its parser is a record like any other."""

from __future__ import annotations

from collections.abc import Sequence

from cli import output
from cli.output import Record
from mail.parse import as_json
from mail.parse_pool import SECONDS, ParsePool


async def parse_files(files: Sequence[str], is_json: bool, seconds: float = SECONDS) -> None:
    async with ParsePool(workers=1, seconds=seconds) as pool:

        async def one(raw: bytes) -> Record:
            return as_json(await pool.parse(raw))

        await output.run(files, one, is_json)
