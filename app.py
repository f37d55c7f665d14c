"""The command line. What each command joins is in cli/; heavy parts are imported by the command
that needs them, so that ``parse`` starts without loading a model.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer

from cli.mailbox_app import app as mailbox
from desk.errors import DeskError
from desk.people import Role
from desk.settings import Settings, read_settings

cli = typer.Typer(
    help="Maildesk: a shared mailbox answered from Slack, Teams and a console.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
kb = typer.Typer(help="The knowledge base.", no_args_is_help=True)
queue = typer.Typer(help="What waits, in which order, and why.", no_args_is_help=True)
dead = typer.Typer(help="Jobs that were given up.", no_args_is_help=True)
user = typer.Typer(help="People who work at the desk.", no_args_is_help=True)
audit = typer.Typer(help="The audit log.", no_args_is_help=True)
db = typer.Typer(help="The database.", no_args_is_help=True)
cli.add_typer(kb, name="kb")
cli.add_typer(queue, name="queue")
queue.add_typer(dead, name="dead")
cli.add_typer(user, name="user")
cli.add_typer(mailbox, name="mailbox")
cli.add_typer(audit, name="audit")
cli.add_typer(db, name="db")

Files = Annotated[list[str], typer.Argument(help="Mails (.eml); - is standard input.")]
IsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line, in input order.")]
Data = Annotated[Path | None, typer.Option(help="The folder in which everything is stored.")]
Reason = Annotated[str, typer.Option(help="Why, in a sentence that is kept.")]
Port = Annotated[int | None, typer.Option(help="The port of the console.")]


def settings(data: Path | None, port: int | None = None) -> Settings:
    return read_settings(data=data, port=port)


# -- processes


@cli.command()
def run(data: Data = None, port: Port = None) -> None:
    """Everything in one process; without mailboxes in the settings, on the sample mailbox."""
    from cli import serve

    given = settings(data, port)
    serve.start(serve.run, given, log_file=True)


@cli.command()
def bot(data: Data = None, port: Port = None) -> None:
    """The chat side: web server, cards, alerts."""
    from cli import serve

    serve.start(serve.run_bot, settings(data, port))


@cli.command()
def worker(data: Data = None) -> None:
    """The steps: intake, triage, drafting, sending, and the schedule."""
    from cli import serve

    serve.start(serve.run_worker, settings(data))


@cli.command()
def check(data: Data = None, is_json: IsJson = False) -> None:
    """Is everything there that the settings ask for?"""
    from cli import desk_commands, output

    rows = asyncio.run(desk_commands.check(settings(data)))
    output.show(rows, is_json)
    if any(row["ok"] is False for row in rows):
        raise typer.Exit(1)


# -- mails in files; nothing is stored


@cli.command()
def parse(files: Files, is_json: IsJson = False) -> None:
    """What a mail says: headers, text, the visible reply, attachments, defects."""
    from cli import parsing

    asyncio.run(parsing.parse_files(files, is_json))


@cli.command()
def triage(files: Files, is_json: IsJson = False, data: Data = None) -> None:
    """Sentiment, urgency and category of mails."""
    from cli import mails

    asyncio.run(mails.triage_files(settings(data), files, is_json))


@cli.command()
def redact(files: Files, is_json: IsJson = False, data: Data = None) -> None:
    """The text with personal data replaced, and what was found where."""
    from cli import mails

    asyncio.run(mails.redact_files(settings(data), files, is_json))


@cli.command()
def draft(
    files: Files,
    is_json: IsJson = False,
    data: Data = None,
    instruction: Annotated[str, typer.Option(help="What the writer should mind.")] = "",
) -> None:
    """Replies, drafted with the knowledge base of the data folder."""
    from cli import mails

    asyncio.run(mails.draft_files(settings(data), files, is_json, instruction))


@cli.command()
def evaluate(
    file: Annotated[str, typer.Argument(help="JSON lines with text and label.")],
    task: Annotated[str, typer.Option(help="sentiment, urgency or category")],
    is_json: IsJson = False,
    data: Data = None,
) -> None:
    """How often triage is right on labelled mails."""
    from cli import mails, output

    output.show([asyncio.run(mails.evaluate_file(settings(data), task, file))], is_json)


# -- the knowledge base


@kb.command("add")
def kb_add(paths: list[Path], is_json: IsJson = False, data: Data = None) -> None:
    """Add or renew articles: Markdown files, or folders of them."""
    from cli import knowledge, output

    output.show([asyncio.run(knowledge.add(settings(data), paths))], is_json)


@kb.command("search")
def kb_search(
    query: str,
    k: Annotated[int, typer.Option("-k", help="How many passages.")] = 4,
    is_json: IsJson = False,
    data: Data = None,
) -> None:
    """The passages that may answer a question."""
    from cli import knowledge, output

    output.show(asyncio.run(knowledge.search(settings(data), query, k)), is_json)


@kb.command("list")
def kb_list(is_json: IsJson = False, data: Data = None) -> None:
    """The articles."""
    from cli import knowledge, output

    output.show(asyncio.run(knowledge.listed(settings(data))), is_json)


@kb.command("remove")
def kb_remove(name: str, is_json: IsJson = False, data: Data = None) -> None:
    """Remove an article."""
    from cli import knowledge, output

    output.show([asyncio.run(knowledge.remove(settings(data), name))], is_json)


@kb.command("evaluate")
def kb_evaluate(file: str, is_json: IsJson = False, data: Data = None) -> None:
    """How often the right article is found; JSON lines with question and article."""
    from cli import knowledge, output

    output.show([asyncio.run(knowledge.evaluated(settings(data), file))], is_json)


# -- the records


@queue.command("list")
def queue_list(
    limit: Annotated[int, typer.Option(help="How many.")] = 50,
    is_json: IsJson = False,
    data: Data = None,
) -> None:
    """The tickets that wait, the next one first."""
    from cli import desk_commands, output

    output.show(asyncio.run(desk_commands.queue(settings(data), limit)), is_json)


@queue.command("why")
def queue_why(id: int, is_json: IsJson = False, data: Data = None) -> None:
    """Why a ticket stands where it stands."""
    from cli import desk_commands, output

    output.show([asyncio.run(desk_commands.why(settings(data), id))], is_json)


@dead.command("list")
def dead_list(
    limit: Annotated[int, typer.Option(help="How many.")] = 50,
    is_json: IsJson = False,
    data: Data = None,
) -> None:
    """Jobs that were given up, and why; the newest first."""
    from cli import dead_commands, output

    output.show(asyncio.run(dead_commands.listing(settings(data), limit)), is_json)


@dead.command("show")
def dead_show(id: int, is_json: IsJson = False, data: Data = None) -> None:
    """One of them: what was tried when, and how it was closed."""
    from cli import dead_commands, output

    output.show([asyncio.run(dead_commands.one(settings(data), id))], is_json)


@dead.command("requeue")
def dead_requeue(
    ids: list[int],
    reason: Reason = "",
    is_json: IsJson = False,
    data: Data = None,
) -> None:
    """Try them again from the beginning. Exit code 1 when one was closed already."""
    from cli import dead_commands, output

    rows = asyncio.run(dead_commands.requeue(settings(data), ids, reason))
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
    """Do not try them again; their tickets say so. Exit code 1 when one was closed already."""
    from cli import dead_commands, output

    rows = asyncio.run(dead_commands.discard(settings(data), ids, reason))
    output.show(rows, is_json)
    if any("error" in row for row in rows):
        raise typer.Exit(1)


@user.command("add")
def user_add(
    email: str,
    role: Annotated[Role, typer.Option(help="What they may do.")] = Role.AGENT,
    name: Annotated[str, typer.Option(help="How colleagues see them.")] = "",
    team: Annotated[str, typer.Option(help="Whose mailboxes they see; empty: all.")] = "",
    is_json: IsJson = False,
    data: Data = None,
) -> None:
    """Register somebody; Slack and Teams know them by this address."""
    from cli import desk_commands, output

    added = asyncio.run(desk_commands.add_user(settings(data), email, name, role, team))
    output.show([added], is_json)


@user.command("list")
def user_list(is_json: IsJson = False, data: Data = None) -> None:
    """Everybody who is registered."""
    from cli import desk_commands, output

    output.show(asyncio.run(desk_commands.users(settings(data))), is_json)


@audit.command("verify")
def audit_verify(is_json: IsJson = False, data: Data = None) -> None:
    """Is the audit log whole? Exit code 1 when it is not."""
    from cli import desk_commands, output

    verdict = asyncio.run(desk_commands.verify(settings(data)))
    output.show([verdict], is_json)
    if not verdict["ok"]:
        raise typer.Exit(1)


@audit.command("sla")
def audit_sla(is_json: IsJson = False, data: Data = None) -> None:
    """Was every SLA step told in time, and once? From the log alone; exit code 1 if not."""
    from cli import desk_commands, output

    findings = asyncio.run(desk_commands.audit_clocks(settings(data)))
    output.show(findings, is_json)
    if findings:
        raise typer.Exit(1)


@db.command("upgrade")
def db_upgrade(data: Data = None) -> None:
    """Bring the database up to date (every process does it at its start)."""
    from cli.records import make_folder
    from desk.engine import upgrade

    given = settings(data)
    make_folder(given.data)
    asyncio.run(upgrade(given.database_url))


def main() -> None:
    """What was raised on purpose is one sentence and exit code 2."""
    try:
        cli()
    except DeskError as error:
        print(f"maildesk: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
