"""Mailboxes are added, tried out and removed as an operator does it."""

from __future__ import annotations

import asyncio
import os
import tomllib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import aiohttp
import pytest
from typer.testing import CliRunner, Result

from app import cli
from cli import desk_commands, mailbox_commands
from cli.mailbox_file import add_block
from cli.mailboxes import Opening, opened_mailbox
from cli.records import opened_store, register_mailboxes
from desk import troubles
from desk.errors import Misconfigured, Permanent
from desk.settings import read_settings
from desk.troubles import Part
from mail.bucket import LocalLimits
from mail.checkup import Finding
from mail.oauth import SignIn
from mail.tokens import StoredTokens
from tests.doubles.dovecot import PASSWORD, dovecot
from tests.doubles.google import CLIENT, SECRET
from tests.doubles.google_account import gmail_account
from tests.doubles.graph import Fault, Graph, graph
from tests.doubles.oauth import SECRET as OAUTH_SECRET
from tests.doubles.oauth import oauth_server
from tests.doubles.smtpd import smtpd
from tests.doubles.tokens import introspection
from tests.services import free_port

OUTLOOK = {"name": "support", "address": "desk@contoso.example", "kind": "outlook"}
MAIL = b"Message-ID: <1@x>\r\nFrom: customer@example.org\r\nSubject: Help\r\n\r\nHello\r\n"
TEAM = '# how we work\nundo_seconds = 45  # enough\n\n[slack]\nchannel = "C1" # ours\n'


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "maildesk.toml"
    file.write_text(TEAM)
    monkeypatch.setenv("MAILDESK_CONFIG", str(file))
    monkeypatch.setenv("MAILDESK_DATA", str(tmp_path / "data"))
    return file


@pytest.fixture
async def outlook(config: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Graph]:
    async with graph() as service:
        identity = f"{service.url}/common/oauth2/v2.0"
        monkeypatch.setenv("MAILDESK_OAUTH__MICROSOFT__CLIENT_ID", "app")
        monkeypatch.setenv("MAILDESK_OAUTH__MICROSOFT__AUTHORIZE_URL", f"{identity}/authorize")
        monkeypatch.setenv("MAILDESK_OAUTH__MICROSOFT__TOKEN_URL", f"{identity}/token")
        yield service


async def add_in_browser(
    block: Mapping[str, object], capsys: pytest.CaptureFixture[str]
) -> Mapping[str, object]:
    """Somebody opens the address that the terminal shows."""
    adding = asyncio.create_task(mailbox_commands.add(read_settings(), dict(block), ""))
    said = ""
    while "http" not in said:
        await asyncio.sleep(0.02)
        said += capsys.readouterr().err
        assert not adding.done() or adding.result()
    address = next(word for word in said.split() if word.startswith("http"))
    async with aiohttp.ClientSession() as browser, browser.get(address) as page:
        assert "You are signed in" in await page.text()
    return await adding


async def findings(name: str = "support") -> dict[str, Finding]:
    return {f.name: f async for _, f in mailbox_commands.tested(read_settings(), name)}


def text_of(file: Path) -> str:
    return file.read_text(errors="replace")


def all_text(folder: Path) -> str:
    return "".join(text_of(file) for file in folder.rglob("*") if file.is_file())


def invoke(*words: str, input: str = "") -> Result:
    return CliRunner().invoke(cli, ["mailbox", *words], input=input)


async def test_an_outlook_mailbox_is_added_with_a_sign_in_and_then_read(
    outlook: Graph, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    block = {**OUTLOOK, "api_url": f"{outlook.url}/v1.0"}
    added = await add_in_browser(block, capsys)
    assert added["is_new"]
    assert text_of(config).startswith(TEAM)
    assert tomllib.loads(text_of(config))["mailboxes"] == [block]
    assert "refresh-" not in all_text(tmp_path)
    outlook.box.deliver(MAIL)
    settings = read_settings()
    async with opened_store(settings) as store:
        [(record, given)] = await register_mailboxes(store, settings)
        opening = Opening(settings, store, LocalLimits())
        async with opened_mailbox(opening, record, given) as provider:
            assert [a.raw for a in (await provider.fetch("")).arrivals] == [MAIL]


async def test_a_mailbox_of_the_same_name_is_only_signed_in_anew(
    outlook: Graph, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    block = {**OUTLOOK, "api_url": f"{outlook.url}/v1.0"}
    await add_in_browser(block, capsys)
    outlook.identity.refresh = "revoked"
    outlook.identity.expire()
    assert (await findings())["sign-in"].ok is False
    assert [row["is_signed_in"] for row in await mailbox_commands.listed(read_settings())] == [
        False
    ]
    before = text_of(config)
    again = await add_in_browser(block, capsys)
    assert (again["is_new"], text_of(config)) == (False, before)
    assert (await findings())["sign-in"].ok is True
    with pytest.raises(Misconfigured, match="already, of kind outlook"):
        await mailbox_commands.add(
            read_settings(), {**OUTLOOK, "kind": "maildir", "folder": "x"}, ""
        )


async def test_what_works_in_outlook_is_told_row_by_row(
    outlook: Graph, capsys: pytest.CaptureFixture[str]
) -> None:
    await add_in_browser({**OUTLOOK, "api_url": f"{outlook.url}/v1.0"}, capsys)
    found = await findings()
    assert {name: finding.ok for name, finding in found.items()} == {
        "find": True,
        "connect": True,
        "tls": None,
        "sign-in": True,
        "read": True,
        "sent folder": True,
        "send": True,
        "quota": True,
    }
    assert outlook.box.left == []
    outlook.faults.append(Fault("/send", 403, "ErrorAccessDenied"))
    found = await findings()
    assert found["send"].ok is False
    assert "Mail.Send" in found["send"].detail


async def test_an_outlook_that_is_away_fails_once_and_the_rest_is_not_tried(
    outlook: Graph, capsys: pytest.CaptureFixture[str]
) -> None:
    await add_in_browser({**OUTLOOK, "api_url": f"http://127.0.0.1:{free_port()}/v1.0"}, capsys)
    found = await findings()
    assert [name for name, finding in found.items() if finding.ok is False] == ["connect"]
    assert found["read"].detail == "not tried: it needs sign-in"


async def test_a_sign_in_that_ended_is_told_by_check(
    outlook: Graph, capsys: pytest.CaptureFixture[str]
) -> None:
    await add_in_browser({**OUTLOOK, "api_url": f"{outlook.url}/v1.0"}, capsys)
    outlook.identity.refresh = "revoked"
    outlook.identity.expire()
    await findings()
    [row] = await mailbox_commands.listed(read_settings())
    with pytest.raises(Misconfigured, match="mailbox add outlook --name support"):
        await desk_commands.check_mailbox(row)


async def test_without_a_client_id_nothing_is_kept(config: Path) -> None:
    with pytest.raises(Misconfigured, match=r"client_id in \[oauth\.microsoft\]"):
        await mailbox_commands.add(read_settings(), dict(OUTLOOK), "")
    assert text_of(config) == TEAM


async def test_what_works_at_gmail_is_told_row_by_row(
    gmail_emulator: str,
    config: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    async with gmail_account(gmail_emulator) as google:
        service = google.client.service
        monkeypatch.setenv("MAILDESK_OAUTH__GOOGLE__CLIENT_ID", CLIENT)
        monkeypatch.setenv("MAILDESK_OAUTH__GOOGLE__CLIENT_SECRET", SECRET)
        monkeypatch.setenv("MAILDESK_OAUTH__GOOGLE__TOKEN_URL", service.token_url)
        block = {"name": "sales", "address": google.address, "kind": "gmail"}
        add_block({**block, "api_url": google.proxy.url})
        found = await findings("sales")
        assert found["sign-in"].ok is False
        assert "mailbox add" in found["sign-in"].detail
        settings = read_settings()
        async with opened_store(settings) as store:
            [(record, _)] = await register_mailboxes(store, settings)
            refresh = google.refresh_token()
            await StoredTokens(store, record.id).replace(SignIn(refresh=refresh))
        found = await findings("sales")
        assert [name for name, f in found.items() if f.ok is False] == []
        assert google.address in found["read"].detail


async def test_an_imap_mailbox_is_added_tried_and_removed(config: Path) -> None:
    with dovecot() as server:
        async with smtpd() as outgoing:
            words = ["--name", "support", "--address", "alice@example.org", "--host", "127.0.0.1"]
            words += ["--port", str(server.imap), "--user", "alice", "--tls", "none"]
            words += ["--smtp-host", "127.0.0.1", "--smtp-port", str(outgoing.port)]
            words += ["--smtp-tls", "none", "--password-stdin"]
            wrong = await asyncio.to_thread(invoke, "add", "imap", *words, input="wrong\n")
            assert wrong.exit_code == 0, wrong.output
            failed = await asyncio.to_thread(invoke, "test", "support", "--json")
            assert failed.exit_code == 1
            assert '"name":"sign-in","ok":false' in failed.stdout
            assert '"name":"read","ok":null' in failed.stdout
            await asyncio.to_thread(invoke, "add", "imap", *words, input=f"{PASSWORD}\n")
            assert PASSWORD not in text_of(config)
            server.deliver(MAIL)
            found = await findings()
            assert [name for name, f in found.items() if f.ok is False] == []
            assert found["read"].detail == "INBOX: 1 mails"
            assert found["send"].ok is True
            assert outgoing.taken == []
    settings = read_settings()
    async with opened_store(settings) as store:
        await register_mailboxes(store, settings)
        [record] = await store.mailboxes()
        async with store.change() as change:
            await change.save_checkpoint(record.id, "so far")
            await troubles.note(change, record.id, Permanent("Sender refused."), Part.SENDING)
        listed = (await asyncio.to_thread(invoke, "list", "--json")).stdout
        assert '"problem":"It cannot send: Sender refused."' in listed
        assert (await asyncio.to_thread(invoke, "remove", "support")).exit_code == 0
        assert text_of(config).strip() == TEAM.strip()
        [record] = await store.mailboxes()
        assert record.checkpoint == "so far", "or it would be read again when it is added again"
        assert await store.troubles() == []
        assert await store.sign_in(record.id) is None


async def test_an_imap_mailbox_is_signed_in_with_a_browser_and_reads_and_sends_with_its_token(
    config: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    async with oauth_server() as service, introspection(service.access) as url, smtpd() as outgoing:
        given = {"client_id": "maildesk", "client_secret": OAUTH_SECRET}
        given |= {"authorize_url": f"{service.url}/authorize", "token_url": f"{service.url}/token"}
        for key, value in given.items():
            monkeypatch.setenv(f"MAILDESK_OAUTH__GOOGLE__{key.upper()}", value)
        outgoing.tokens = service.access
        with dovecot(introspection=url) as server:
            smtp = {"host": "127.0.0.1", "port": outgoing.port, "tls": "none"}
            block: dict[str, object] = {"name": "support", "kind": "imap"}
            block["address"] = "alice@example.org"
            block |= {"host": "127.0.0.1", "port": server.imap, "tls": "none", "user": "alice"}
            await add_in_browser({**block, "smtp": smtp, "sign_in": "google"}, capsys)
            assert service.asked[0]["scope"] == "https://mail.google.com/"
            assert "refresh-" not in all_text(tmp_path)
            [row] = await mailbox_commands.listed(read_settings())
            assert (row["is_signed_in"], row["problem"]) == (True, "")
            server.deliver(MAIL)
            found = await findings()
            assert [name for name, one in found.items() if one.ok is False] == []
            settings = read_settings()
            async with opened_store(settings) as store:
                [(record, known)] = await register_mailboxes(store, settings)
                opening = Opening(settings, store, LocalLimits())
                async with opened_mailbox(opening, record, known) as provider:
                    assert len((await provider.fetch("")).arrivals) == 1
                    await provider.send(MAIL, "alice@example.org", ["ann@example.org"])
            assert (len(outgoing.taken), outgoing.logins[-1]) == (1, service.access[-1])


async def test_an_imap_sign_in_without_a_client_is_told_and_nothing_kept(
    config: Path,
) -> None:
    words = ["--name", "support", "--address", "alice@gmail.example", "--sign-in", "google"]
    said = await asyncio.to_thread(invoke, "add", "imap", *words)
    assert "needs client_id in [oauth.google]" in str(said.exception)
    assert text_of(config) == TEAM
    add_block(
        {
            **{"name": "support", "address": "alice@gmail.example", "kind": "imap"},
            **{"host": "127.0.0.1", "user": "alice", "sign_in": "google"},
            "smtp": {"host": "127.0.0.1"},
        }
    )
    [row] = await mailbox_commands.listed(read_settings())
    assert row["is_signed_in"] is False
    assert "client_id" in str(row["problem"])


def test_what_is_missing_is_named_where_nobody_can_be_asked(config: Path) -> None:
    said = invoke("add", "imap", "--name", "support")
    assert isinstance(said.exception, Misconfigured)
    assert str(said.exception).endswith("--address, --host, --user, --smtp-host")
    assert text_of(config) == TEAM


def test_a_maildir_is_added_and_tried(config: Path, tmp_path: Path) -> None:
    words = ["--name", "sales", "--address", "sales@example.org", "--folder", str(tmp_path / "box")]
    assert invoke("add", "maildir", *words).exit_code == 0
    failed = invoke("test")
    assert failed.exit_code == 1
    assert "tmp, new, cur is missing" in failed.stdout
    assert "not tried: it needs find" in failed.stdout
    for folder in ("tmp", "new", "cur"):
        (tmp_path / "box" / folder).mkdir(parents=True)
    works = invoke("test")
    assert (works.exit_code, "0 mails" in works.stdout) == (0, True)


def test_mailboxes_of_a_variable_are_not_changed(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAILDESK_MAILBOXES", '[{"name": "a", "address": "a@b.example"}]')
    said = invoke("remove", "a")
    assert "MAILDESK_MAILBOXES" in str(said.exception)


def test_a_file_that_is_no_toml_is_left_alone(config: Path) -> None:
    config.write_text("port = ")
    said = invoke("add", "maildir", "--name", "a", "--address", "a@b.example", "--folder", "x")
    assert isinstance(said.exception, Misconfigured)
    assert text_of(config) == "port = "


def test_a_block_that_would_make_the_settings_wrong_is_taken_back(config: Path) -> None:
    with pytest.raises(Misconfigured, match=r"mailboxes\.0\.address"):
        add_block({"name": "support"})
    assert text_of(config) == TEAM


def test_a_new_file_is_for_its_owner_alone(
    tmp_path: Path, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MAILDESK_CONFIG")
    monkeypatch.chdir(tmp_path)
    config.unlink()
    words = ["--name", "a", "--address", "a@b.example", "--folder", str(tmp_path / "a")]
    assert invoke("add", "maildir", *words).exit_code == 0
    assert os.stat(tmp_path / "maildesk.toml").st_mode & 0o077 == 0
    assert invoke("remove", "nobody").exception is not None
