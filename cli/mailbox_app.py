"""``mailbox add|list|test|remove`` on the command line: options, questions, and what is printed."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.options import Data, IsJson
from desk.errors import Misconfigured
from desk.settings import Settings, read_settings

app = typer.Typer(help="The mailboxes.", no_args_is_help=True)


class Kind(StrEnum):
    MAILDIR = "maildir"
    IMAP = "imap"
    GMAIL = "gmail"
    OUTLOOK = "outlook"


class Encryption(StrEnum):
    NONE = "none"
    STARTTLS = "starttls"
    TLS = "tls"


class SignInWith(StrEnum):
    PASSWORD = "password"  # noqa: S105
    GOOGLE = "google"
    MICROSOFT = "microsoft"


# https://support.google.com/mail/answer/7126229,
# https://support.microsoft.com/office/pop-imap-and-smtp-settings-for-outlook-com
SERVERS = {
    SignInWith.GOOGLE: {"host": "imap.gmail.com", "smtp_host": "smtp.gmail.com"},
    SignInWith.MICROSOFT: {"host": "outlook.office365.com", "smtp_host": "smtp.office365.com"},
}
COLUMNS = ("name", "kind", "address", "team", "is_signed_in", "problem")
NEEDED = {
    Kind.MAILDIR: ("name", "address", "folder"),
    Kind.IMAP: ("name", "address", "host", "user", "smtp_host"),
    Kind.GMAIL: ("name", "address"),
    Kind.OUTLOOK: ("name", "address"),
}
QUESTIONS = {
    "name": "What shall we call the mailbox (support, sales, …)",
    "address": "The address customers write to",
    "folder": "The Maildir's folder",
    "host": "The IMAP server",
    "user": "The login there",
    "smtp_host": "The server that takes replies (SMTP)",
}


@app.command("add")
def add(
    kind: Annotated[Kind, typer.Argument(help="maildir, imap, gmail or outlook.")],
    name: Annotated[str, typer.Option(help="How we call it; one that is there is signed in.")] = "",
    address: Annotated[str, typer.Option(help="The address customers write to.")] = "",
    display_name: Annotated[str, typer.Option(help="The name beside it in replies.")] = "",
    signature: Annotated[str, typer.Option(help="How a reply ends.")] = "",
    team: Annotated[str, typer.Option(help="Whose agents see it; empty: all.")] = "",
    folder: Annotated[str, typer.Option(help="maildir: its folder.")] = "",
    host: Annotated[str, typer.Option(help="imap: the server.")] = "",
    port: Annotated[int, typer.Option(help="imap: its port.")] = 993,
    tls: Annotated[Encryption, typer.Option(help="imap: how it is encrypted.")] = Encryption.TLS,
    user: Annotated[str, typer.Option(help="imap: the login; outlook: a shared mailbox.")] = "",
    smtp_host: Annotated[str, typer.Option(help="imap: the server that takes replies.")] = "",
    smtp_port: Annotated[int, typer.Option(help="imap: its port.")] = 587,
    smtp_tls: Annotated[
        Encryption, typer.Option(help="imap: how it is encrypted.")
    ] = Encryption.STARTTLS,
    sign_in: Annotated[
        SignInWith,
        typer.Option(
            "--sign-in", metavar="WITH", help="imap: password, or google or microsoft (browser)."
        ),
    ] = SignInWith.PASSWORD,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="imap: read the password from standard input.")
    ] = False,
    is_json: IsJson = False,
    data: Data = None,
) -> None:
    """Add a mailbox, or sign an existing one in anew; asks for what is missing."""
    from cli import mailbox_commands, output

    settings = read_settings(data=data)
    given = {
        "name": name,
        "address": address,
        "folder": folder,
        "host": host,
        "user": user,
        "smtp_host": smtp_host,
        **_known(settings, name),
    }
    if kind is Kind.IMAP and sign_in is not SignInWith.PASSWORD:
        usual = {**SERVERS[sign_in], "user": given["address"]}
        given = {**given, **{key: text for key, text in usual.items() if not given[key]}}
    answers = {**given, **_asked(kind, given)}
    texts = {"display_name": display_name, "signature": signature, "team": team}
    block: dict[str, Any] = {
        "name": answers["name"],
        "address": answers["address"],
        "kind": kind.value,
        **{key: text for key, text in texts.items() if text},
    }
    match kind:
        case Kind.MAILDIR:
            block["folder"] = str(Path(answers["folder"]).absolute())
        case Kind.OUTLOOK if user:
            block["user"] = user
        case Kind.IMAP:
            smtp = {"host": answers["smtp_host"], "port": smtp_port, "tls": smtp_tls.value}
            block |= {"host": answers["host"], "port": port, "tls": tls.value}
            block |= {"user": answers["user"], "smtp": smtp}
            if sign_in is not SignInWith.PASSWORD:
                block["sign_in"] = sign_in.value
    is_by_password = kind is Kind.IMAP and _sign_in_of(settings, name, sign_in) == "password"
    password = _password(password_stdin) if is_by_password else ""
    added = asyncio.run(mailbox_commands.add(settings, block, password))
    output.show([added], is_json)
    if not is_json:
        _say_next(str(added["name"]), is_new=bool(added["is_new"]))


def _known(settings: Settings, name: str) -> dict[str, str]:
    """What need not be asked about a mailbox that is only signed in anew."""
    for one in settings.mailboxes:
        if one.name == name:
            smtp = one.smtp.host if one.smtp else ""
            texts = {"address": one.address, "host": one.host, "user": one.user, "smtp_host": smtp}
            return {**texts, "folder": str(one.folder or "")}
    return {}


def _sign_in_of(settings: Settings, name: str, wanted: SignInWith) -> str:
    """How a mailbox that is there is signed in stands in the file."""
    return next((one.sign_in for one in settings.mailboxes if one.name == name), wanted.value)


def _asked(kind: Kind, given: Mapping[str, str]) -> dict[str, str]:
    missing = [field for field in NEEDED[kind] if not given[field]]
    if missing and not sys.stdin.isatty():
        flags = ", ".join(f"--{field.replace('_', '-')}" for field in missing)
        raise Misconfigured(f"A mailbox of kind {kind} also needs {flags}")
    return {field: str(typer.prompt(QUESTIONS[field])) for field in missing}


def _password(is_piped: bool) -> str:
    """Never an argument: others on the machine can read those."""
    if is_piped:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise Misconfigured("A mailbox of kind imap needs its password: use --password-stdin")
    return str(typer.prompt("The password there", hide_input=True))


def _say_next(name: str, is_new: bool) -> None:
    print(f"Next: `python app.py mailbox test {name}` shows what works.")
    if is_new:
        print("Restart the processes that run already: they read it from then on.")


@app.command("list")
def list_all(is_json: IsJson = False, data: Data = None) -> None:
    """The mailboxes, whether they are signed in, and what is wrong with them."""
    from cli import mailbox_commands, output

    rows = asyncio.run(mailbox_commands.listed(read_settings(data=data)))
    output.show_list(rows, COLUMNS, is_json, "There are no mailboxes: mailbox add")


@app.command("test")
def try_out(
    name: Annotated[str, typer.Argument(help="Which one; all without.")] = "",
    is_json: IsJson = False,
    data: Data = None,
) -> None:
    """Try what works in a mailbox, without sending anything. Exit code 1 when something fails."""
    if not asyncio.run(_tested(read_settings(data=data), name, is_json)):
        raise typer.Exit(1)


async def _tested(settings: Settings, name: str, is_json: bool) -> bool:
    from cli import mailbox_commands, output

    is_good, shown = True, ""
    async for mailbox, finding in mailbox_commands.tested(settings, name):
        is_good = is_good and finding.ok is not False
        if is_json:
            row = {"name": finding.name, "ok": finding.ok, "detail": finding.detail}
            output.print_json({"mailbox": mailbox, **row})
            continue
        if mailbox != shown:
            print(f"\n{mailbox}" if shown else mailbox)
            shown = mailbox
        output.print_finding(finding.name, finding.ok, finding.detail, 13)
    return is_good


@app.command("remove")
def remove(name: str, is_json: IsJson = False, data: Data = None) -> None:
    """Take a mailbox out of the settings and forget its password or sign-in; its tickets stay."""
    from cli import mailbox_commands, output

    output.show([asyncio.run(mailbox_commands.remove(read_settings(data=data), name))], is_json)
