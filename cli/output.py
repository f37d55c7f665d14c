"""What commands print: one JSON object a line for scripts, or plain lines for people."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table
from rich.text import Text

from desk.errors import DeskError, Misconfigured, Permanent

Record = dict[str, object]

MARKS = {True: "ok", False: "FAILS", None: "-"}


def print_json(record: object) -> None:
    """One line, at once: the reader may wait for it."""
    sys.stdout.write(orjson.dumps(record, option=orjson.OPT_NON_STR_KEYS).decode() + "\n")
    sys.stdout.flush()


def print_plain(record: Record) -> None:
    """Field by field, without those that say nothing; long texts below their name."""
    for name, value in record.items():
        said = words(value)
        if "\n" in said:
            said = "\n" + "\n".join(f"    {line}" for line in said.splitlines())
        if said:
            print(f"{title(name)}: {said}".replace(": \n", ":\n"))
    print()


def print_finding(name: str, ok: object, detail: str, width: int) -> None:
    """A line of a check: ``ok`` is None for what was not tried."""
    mark = MARKS[None if ok is None else bool(ok)]
    print(f"  {mark:<6}{name:<{width}} {detail}", flush=True)


def show(records: Sequence[Record], as_json: bool) -> None:
    for record in records:
        (print_json if as_json else print_plain)(record)


def show_findings(records: Sequence[Record], as_json: bool) -> None:
    """Rows of name, ok and detail."""
    width = max((len(str(row["name"])) for row in records), default=0) + 1
    for row in records:
        if as_json:
            print_json(row)
        else:
            print_finding(str(row["name"]), row["ok"], str(row["detail"]), width)


def show_list(
    records: Sequence[Record], columns: Sequence[str], as_json: bool, empty: str = ""
) -> None:
    """Everything for scripts; for people these columns, or ``empty`` when there is nothing."""
    if as_json:
        show(records, as_json)
    elif records:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in columns:
            table.add_column(title(name), overflow="fold")
        for record in records:
            # subjects with brackets are no markup
            table.add_row(*(Text(words(record[name])) for name in columns))
        Console().print(table)
    elif empty:
        print(empty)


def title(name: str) -> str:
    return name.replace("_", " ")


def words(value: object) -> str:
    """A field as people read it; "" for nothing. Times are those of this machine's zone.

    >>> words(None), words(True), words(("late", "angry")), words([{"reason": "vip", "minutes": 5}])
    ('', 'yes', 'late; angry', 'reason vip, minutes 5')
    """
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case datetime():
            return f"{value.astimezone():%Y-%m-%d %H:%M}"
        case dict():
            return ", ".join(
                f"{title(name)} {said}" for name, one in value.items() if (said := words(one))
            )
        case list() | tuple():
            apart = "\n" if any(isinstance(one, dict) for one in value) else "; "
            return apart.join(filter(None, map(words, value)))
    return str(value)


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
