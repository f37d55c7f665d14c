"""The command line. What each command joins is in cli/; heavy parts are imported by the command
that needs them, so that ``parse`` starts without loading a model.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer

from cli.knowledge_app import app as kb
from cli.mailbox_app import app as mailbox
from cli.options import Data, IsJson
from cli.queue_app import app as queue
from desk.errors import DeskError
from desk.people import Role
from desk.settings import Settings, read_settings

cli = typer.Typer(
    help="Maildesk: a shared mailbox answered from Slack, Teams and a console.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
user = typer.Typer(help="People who work at the desk.", no_args_is_help=True)
audit = typer.Typer(help="The audit log.", no_args_is_help=True)
db = typer.Typer(help="The database.", no_args_is_help=True)
cli.add_typer(kb, name="kb")
cli.add_typer(queue, name="queue")
cli.add_typer(user, name="user")
cli.add_typer(mailbox, name="mailbox")
cli.add_typer(audit, name="audit")
cli.add_typer(db, name="db")

Files = Annotated[list[str], typer.Argument(help="Mails (.eml); - is standard input.")]
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
    output.show_findings(rows, is_json)
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


# -- the records


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

    rows = asyncio.run(desk_commands.users(settings(data)))
    columns = ("id", "email", "name", "role", "team")
    output.show_list(rows, columns, is_json, "Nobody is registered: user add")


@audit.command("verify")
def audit_verify(
    head: Annotated[str, typer.Option(help="Printed before: the log must hold it.")] = "",
    is_json: IsJson = False,
    data: Data = None,
) -> None:
    """Is the audit log whole? Exit code 1 when it is not."""
    from cli import desk_commands, output

    verdict = asyncio.run(desk_commands.verify(settings(data), head))
    output.show([verdict], is_json)
    if not verdict["ok"]:
        raise typer.Exit(1)


@audit.command("sla")
def audit_sla(is_json: IsJson = False, data: Data = None) -> None:
    """Was every SLA step told in time, and once? From the log alone; exit code 1 if not."""
    from cli import desk_commands, output

    findings = asyncio.run(desk_commands.audit_clocks(settings(data)))
    columns = ("ticket", "clock", "rung", "due", "fault", "detail")
    output.show_list(findings, columns, is_json, "Every SLA step was told in time, and once.")
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
