"""An error as a value, and what may be said of it: not a word of what was worked on."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable
from pathlib import Path
from typing import TypeVar

from desk.errors import DeskError, Transient

T = TypeVar("T")


async def caught(work: Awaitable[T]) -> T | Exception:
    """The outermost ``except`` of background work: from here on an error is a value."""
    try:
        return await work
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        return Transient("The work was cancelled from within.")
    except Exception as error:
        return error


def kind(error: BaseException) -> str:
    """The types of an error and of what caused it; never a message, it may quote a mail."""
    cause = error.__cause__
    return type(error).__name__ + (f" from {kind(cause)}" if cause is not None else "")


def reason(error: Exception) -> str:
    """A sentence for people: our own errors are sentences, of others only the type is told."""
    return str(error) if isinstance(error, DeskError) else f"Unexpected {kind(error)}."


def trace(error: BaseException) -> str:
    """Where it was raised, outermost first: files, lines and functions, no values."""
    frames = traceback.extract_tb(error.__traceback__)
    return " > ".join(f"{Path(f.filename).stem}:{f.lineno} {f.name}" for f in frames)
