"""``queue list|why`` and ``queue dead list|show|requeue|discard`` on the command line."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from cli.options import Data, IsJson, Limit
from desk.settings import read_settings

app = typer.Typer(help="What waits, in which order, and why.", no_args_is_help=True)
dead = typer.Typer(help="Jobs that were given up.", no_args_is_help=True)
app.add_typer(dead, name="dead")

COLUMNS = ("id", "subject", "urgency", "due", "assignee")
GIVEN_UP = ("id", "at", "job", "ticket", "subject", "tries", "reason")

Reason = Annotated[str, typer.Option(help="Why, in a sentence that is kept.")]


@app.command("list")
def queue_list(
    limit: Limit = 50,
    is_json: IsJson = False,
    data: Data = None,
) -> None:
    """The tickets that wait, the next one first."""
    from cli import desk_commands, output

    rows = asyncio.run(desk_commands.queue(read_settings(data=data), limit))
    output.show_list(rows, COLUMNS, is_json, "Nobody waits.")


@app.command("why")
def queue_why(id: int, is_json: IsJson = False, data: Data = None) -> None:
    """Why a ticket stands where it stands."""
    from cli import desk_commands, output

    output.show([asyncio.run(desk_commands.why(read_settings(data=data), id))], is_json)


@dead.command("list")
def dead_list(
    limit: Limit = 50,
    is_json: IsJson = False,
    data: Data = None,
) -> None:
    """Jobs that were given up, and why; the newest first."""
    from cli import dead_commands, output

    rows = asyncio.run(dead_commands.listing(read_settings(data=data), limit))
    output.show_list(rows, GIVEN_UP, is_json, "Nothing was given up.")


@dead.command("show")
def dead_show(id: int, is_json: IsJson = False, data: Data = None) -> None:
    """One of them: what was tried when, and how it was closed."""
    from cli import dead_commands, output

    output.show([asyncio.run(dead_commands.one(read_settings(data=data), id))], is_json)


@dead.command("requeue")
def dead_requeue(
    ids: list[int],
    reason: Reason = "",
    is_json: IsJson = False,
    data: Data = None,
) -> None:
    """Run them again from the beginning. Exit code 1 when one was closed already."""
    from cli import dead_commands, output

    rows = asyncio.run(dead_commands.requeue(read_settings(data=data), ids, reason))
    output.show(rows, is_json)
    if any("error" in row for row in rows):
        raise typer.Exit(1)


@dead.command("discard")
def dead_discard(
    ids: list[int],
    reason: Reason = "",
    is_json: IsJson = False,
    data: Data = None,
) -> None:
    """Have them not run again; their tickets say so. Exit code 1 when one was closed already."""
    from cli import dead_commands, output

    rows = asyncio.run(dead_commands.discard(read_settings(data=data), ids, reason))
    output.show(rows, is_json)
    if any("error" in row for row in rows):
        raise typer.Exit(1)
