"""Feeds the sample mailbox as if its mail arrived: one after the other, each exactly once."""

from __future__ import annotations

import asyncio
from pathlib import Path

from desk.errors import Misconfigured
from mail.maildir import deliver

PAUSE = 0.1
"""Seconds between two mails."""


async def feed(samples: Path, maildir: Path | None) -> None:
    """Each sample keeps its name in the Maildir, so that a second run delivers nothing twice."""
    if maildir is None:
        raise Misconfigured("The sample mailbox has no folder")
    for sample in await asyncio.to_thread(lambda: sorted(samples.glob("*.eml"))):
        raw = await asyncio.to_thread(sample.read_bytes)
        if await asyncio.to_thread(deliver, maildir, raw, f"sample-{sample.stem}"):
            await asyncio.sleep(PAUSE)
