"""What a network sends, read without trust in its form: nonsense is empty, never an error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Payload = Mapping[str, Any]


def text_at(payload: object, *path: str) -> str:
    """The string at a path of keys; empty when it is not there.

    >>> text_at({"user": {"id": "U1"}}, "user", "id"), text_at({"user": []}, "user", "id")
    ('U1', '')
    """
    for name in path:
        payload = payload.get(name) if isinstance(payload, Mapping) else None
    return payload if isinstance(payload, str) else ""


def part(payload: object, name: str) -> Payload:
    """The object under a key; empty when it is none."""
    found = payload.get(name) if isinstance(payload, Mapping) else None
    return found if isinstance(found, Mapping) else {}
