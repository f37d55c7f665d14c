"""What commands print: one JSON object a line for scripts, or plain lines for people."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import orjson

from desk.errors import DeskError, Misconfigured, Permanent

Record = dict[str, object]


def print_json(record: object) -> None:
    """One line, at once: the reader may wait for it."""
    sys.stdout.write(orjson.dumps(record, option=orjson.OPT_NON_STR_KEYS).decode() + "\n")
    sys.stdout.flush()


def print_plain(record: Record) -> None:
    """Field by field; long texts below their name."""
    for name, value in record.items():
        if isinstance(value, str) and "\n" in value:
            print(f"{name}:\n" + "\n".join(f"    {line}" for line in value.splitlines()))
        elif isinstance(value, dict | list | tuple):
            print(f"{name}: {orjson.dumps(value).decode()}")
        else:
            print(f"{name}: {value}")
    print()


def show(records: Sequence[Record], as_json: bool) -> None:
    for record in records:
        (print_json if as_json else print_plain)(record)


async def run(
    files: Sequence[str], work: Callable[[bytes], Awaitable[Record]], is_json: bool
) -> None:
    """Print what ``work`` says of each file, in input order; an error is a record too."""
    for file in files:
        try:
            record = await work(read(file))
        except DeskError as error:
            record = {"error": str(error)}
        show([record], is_json)


def json_lines(file: str) -> list[Any]:
    """Misconfigured names the line that is not JSON."""
    rows = []
    for number, line in enumerate(read(file).decode("utf-8", "replace").splitlines(), 1):
        try:
            rows.append(orjson.loads(line))
        except orjson.JSONDecodeError:
            raise Misconfigured(f"{file}, line {number}: this is not JSON") from None
    return rows


def read(file: str) -> bytes:
    """The bytes of a file, or of standard input for ``-``."""
    try:
        return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise Permanent(f"{file} cannot be read: {error.strerror}") from error
