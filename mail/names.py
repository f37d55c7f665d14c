"""Attachment names that any disk and any chat can take."""

from __future__ import annotations

import re

from mail.headers import visible

MAX_NAME = 120
RESERVED = re.compile(r'[\x00-\x1f<>:"|?*/\\]+')


def safe_name(name: str) -> str:
    """The last part of the path without what file systems refuse; may be empty."""
    name = re.split(r"[/\\]", visible(name))[-1]
    name = RESERVED.sub("_", name).strip(" .")
    if len(name) <= MAX_NAME:
        return name
    stem, dot, ending = name.rpartition(".")
    if dot and len(ending) < 12:
        return f"{stem[: MAX_NAME - 1 - len(ending)]}.{ending}"
    return name[:MAX_NAME]
