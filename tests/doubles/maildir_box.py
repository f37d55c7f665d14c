"""A Maildir as tests make, fill and read it."""

from __future__ import annotations

import os
from pathlib import Path

from mail.maildir import MaildirProvider
from mail.provider import Page


def made(folder: Path) -> Path:
    for name in ("tmp", "new", "cur"):
        (folder / "box" / name).mkdir(parents=True)
    return folder / "box"


def put(root: Path, name: str, raw: bytes = b"mail", when: float | None = None) -> Path:
    path = root / "new" / name
    path.write_bytes(raw)
    if when is not None:
        os.utime(path, (when, when))
    return path


def keys(page: Page) -> list[str]:
    return [arrival.key for arrival in page.arrivals]


async def read_all(provider: MaildirProvider, checkpoint: str = "") -> tuple[list[str], str]:
    found: list[str] = []
    while True:
        page = await provider.fetch(checkpoint, 100)
        found += keys(page)
        checkpoint = page.checkpoint
        if not page.more:
            return found, checkpoint
