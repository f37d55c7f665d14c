"""The commands as scripts and operators use them: fields, exit codes, sentences."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import update
from typer.testing import CliRunner

from app import cli
from cli import desk_commands
from cli.records import opened_store
from desk.moves import Verb
from desk.people import Role
from desk.settings import SecondWriterSettings, TeamsSettings, read_settings
from desk.sla.settings import EscalationSettings
from desk.tables.sla import sla_clocks
from tests.doubles.command_line import command
from tests.doubles.desk import scene
from tests.doubles.maildesk import ROOT
from tests.services import need, need_file

SAMPLES = ROOT / "samples"
ANGRIEST = str(SAMPLES / "mailbox" / "10-trucks-leave-at-one.eml")

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def encoder() -> Path:
    return need_file(ROOT / "build" / "encoder" / "manifest.json", "make setup")


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


async def test_parse_tells_every_promised_field(tmp_path: Path) -> None:
    code, rows, _ = await command(tmp_path / "v", "parse", ANGRIEST, "no-such.eml", "--json")
    assert code == 0
    assert set(rows[0]) == {
        "message_id",
        "from",
        "to",
        "cc",
        "reply_to",
        "subject",
        "date",
        "text",
        "reply",
        "quoted",
        "signature",
        "attachments",
        "kind",
        "defects",
        "truncated",
    }
    assert rows[1] == {"error": "no-such.eml cannot be read: No such file or directory"}
    assert not (tmp_path / "v").exists()


async def test_a_broken_mail_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    broken = tmp_path / "broken.eml"
    broken.write_bytes(b"\xff\x00From: \xe9@\nContent-Type: multipart/mixed; boundary=\n\n--\n")
    code, [row], _ = await command(tmp_path / "v", "parse", str(broken), "--json")
    assert code == 0
    assert row["defects"]


async def test_triage_and_draft_tell_every_promised_field(tmp_path: Path, encoder: Path) -> None:
    data = tmp_path / "v"
    code, [added], _ = await command(data, "kb", "add", str(SAMPLES / "articles"), "--json")
    assert (code, added["added"], added["articles"]) == (0, 30, 30)
    code, [row], _ = await command(data, "triage", ANGRIEST, "--json")
    assert (code, set(row)) == (0, {"sentiment", "urgency", "category", "unsure"})
    assert isinstance(row["urgency"], dict)
    assert (row["urgency"]["label"], bool(row["urgency"]["reasons"])) == ("critical", True)
    charged = str(SAMPLES / "mailbox" / "13-charged-twice.eml")
    code, [row], _ = await command(data, "draft", charged, "--json")
    assert code == 0
    assert {"reply", "citations", "findings", "score", "writer"} <= set(row)
    assert isinstance(row["citations"], list)
    assert row["citations"][0]["article"] == "refunds-and-double-charges.md"
    code, rows, _ = await command(data, "kb", "search", "charged twice", "-k", "2", "--json")
    assert (code, len(rows)) == (0, 2)
    assert set(rows[0]) == {"article", "heading", "text", "score"}


async def test_redact_tells_where_it_found_what(tmp_path: Path) -> None:
    mail = tmp_path / "m.txt"
    mail.write_text("Call me at +44 20 7946 0958 or write to eve@lindqvist.example.")
    code, [row], _ = await command(tmp_path / "v", "redact", str(mail), "--json")
    assert code == 0
    assert isinstance(row["found"], list)
    text = mail.read_text()
    found = {f["type"]: text[f["start"] : f["end"]] for f in row["found"]}
    assert found["EMAIL_ADDRESS"] == "eve@lindqvist.example"
    assert "eve@" not in str(row["text"])


async def test_evaluate_measures_and_names_a_bad_line(tmp_path: Path, encoder: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"text": "I love it, thank you so much!", "label": "positive"}\n')
    words = ("evaluate", str(rows), "--task", "sentiment", "--json")
    code, [told], _ = await command(tmp_path / "v", *words)
    assert (code, told["n"]) == (0, 1)
    rows.write_text("not json\n")
    code, none, said = await command(tmp_path / "v", *words)
    assert (code, len(none)) == (2, 0)
    assert "line 1: this is not JSON" in said


async def test_users_queue_and_audit_work_on_an_empty_desk(tmp_path: Path) -> None:
    data = tmp_path / "v"
    code, [added], _ = await command(data, "user", "add", "ann@x.example", "--json")
    assert (code, added) == (0, {"id": 1})
    code, _, said = await command(data, "user", "add", "ann@x.example")
    assert (code, said.strip()) == (2, "maildesk: ann@x.example is a user already")
    assert (await command(data, "queue", "list", "--json"))[:2] == (0, [])
    assert (await command(data, "queue", "dead", "list", "--json"))[:2] == (0, [])
    code, rows, _ = await command(data, "queue", "dead", "requeue", "4", "5", "--json")
    assert (code, rows) == (1, [{"error": f"There is no dead letter {id}"} for id in (4, 5)])
    code, _, said = await command(data, "queue", "why", "7")
    assert (code, said.strip()) == (2, "maildesk: There is no ticket #7 in your mailboxes")
    code, [verdict], _ = await command(data, "audit", "verify", "--json")
    assert (code, verdict["ok"], verdict["first_broken"]) == (0, True, None)


def test_the_audit_holds_the_log_against_a_head_of_before(tmp_path: Path) -> None:
    data = ["--data", str(tmp_path / "v")]
    assert CliRunner().invoke(cli, ["user", "add", "ann@x.example", *data]).exit_code == 0
    words = ["audit", "verify", "--json", *data]
    told = CliRunner().invoke(cli, words)
    assert told.exit_code == 0
    head = json.loads(told.stdout)["head"]
    assert CliRunner().invoke(cli, [*words, "--head", f" {head.upper()}\n"]).exit_code == 0
    assert CliRunner().invoke(cli, [*words, "--head", "ab"]).exit_code == 1


@pytest.mark.parametrize(
    "words",
    [
        ("queue", "list", "--limit"),
        ("queue", "dead", "list", "--limit"),
        ("kb", "search", "q", "-k"),
    ],
)
def test_how_many_are_shown_is_at_least_one(words: tuple[str, ...]) -> None:
    """PostgreSQL takes no negative number, and SQLite takes it for all."""
    told = CliRunner().invoke(cli, [*words, "-1"])
    assert told.exit_code == 2
    assert "equal to 1" in " ".join(told.output.split())


async def test_check_has_a_row_for_each_part(tmp_path: Path, encoder: Path) -> None:
    need("redis-server")
    code, rows, _ = await command(tmp_path / "v", "check", "--json")
    assert code == 0
    assert {"name", "ok", "detail"} == set(rows[0])
    told = {str(row["name"]): row for row in rows}
    assert told["database"]["ok"] is told["clocks"]["ok"] is True
    assert told["slack"] == {"name": "slack", "ok": None, "detail": "not configured"}
    assert "names in running text are not" in str(told["privacy"]["detail"])


async def test_check_goes_on_where_the_database_is_down(tmp_path: Path) -> None:
    settings = read_settings(
        data=tmp_path,
        database="postgresql+asyncpg://desk@127.0.0.1:1/desk",
        encoder=tmp_path / "none",
        second_writer=SecondWriterSettings(url="http://127.0.0.1:1"),
        teams=TeamsSettings(is_local_test=True),
    )
    rows = {str(row["name"]): row for row in await desk_commands.check(settings)}
    assert (rows["database"]["ok"], rows["rules"]["ok"]) == (False, True)
    assert "did not answer" in str(rows["database"]["detail"])
    assert rows["writer"]["detail"] == "http://127.0.0.1:1"
    assert "local test" in str(rows["teams"]["detail"])


async def test_check_knows_who_is_on_call(tmp_path: Path) -> None:
    called = ("Ann@x.example", "bo@x.example")
    escalation = EscalationSettings(on_call=called)
    settings = read_settings(data=tmp_path, encoder=tmp_path / "none", escalation=escalation)
    for address, is_ready in (("ann@x.example", False), ("bo@x.example", True)):
        await desk_commands.add_user(settings, address, "", Role.AGENT, "")
        [row] = [one for one in await desk_commands.check(settings) if one["name"] == "on call"]
        assert row["ok"] is is_ready
        assert ("names bo@x.example: no user" in str(row["detail"])) is not is_ready


async def test_check_names_the_tickets_whose_time_could_not_be_computed(tmp_path: Path) -> None:
    settings = read_settings(data=tmp_path, encoder=tmp_path / "none")
    async with opened_store(settings) as store:
        at = await scene(store)
        async with store.change() as change:
            await change.connection.execute(update(sla_clocks).values(terms="{"))
        await at.actions.act(await at.request(Verb.CLAIM))
    [row] = [one for one in await desk_commands.check(settings) if one["name"] == "clocks"]
    assert row["ok"] is False
    assert str(row["detail"]).startswith("The time promised for #1 could not be computed")


async def test_a_missing_key_is_said_and_nothing_is_made_anew(tmp_path: Path) -> None:
    data = tmp_path / "v"
    await command(data, "user", "add", "ann@x.example")
    (data / "key").rename(tmp_path / "key")
    code, _, said = await command(data, "user", "list")
    assert code == 2
    assert f"The key file {data / 'key'} is missing" in said
    assert "Traceback" not in said
    assert not (data / "key").exists()
    (tmp_path / "key").rename(data / "key")
    code, rows, _ = await command(data, "user", "list", "--json")
    assert [row["email"] for row in rows] == ["ann@x.example"]


async def test_a_wrong_setting_is_named(tmp_path: Path) -> None:
    data = tmp_path / "v"
    data.with_suffix(".toml").write_text('prot = 1\n[slack]\npost_from = "sometimes"\n')
    code, _, said = await command(data, "check")
    assert code == 2
    assert "prot" in said
    assert "slack.post_from" in said
    assert "Traceback" not in said


async def test_a_config_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    data = tmp_path / "v"
    data.with_suffix(".toml").write_text("port = = 1")
    code, _, said = await command(data, "run")
    assert code == 2
    assert "is not valid TOML" in said


async def test_a_port_in_use_is_said_with_what_to_do(
    tmp_path: Path, taken_port: int, encoder: Path
) -> None:
    need("redis-server")
    code, _, said = await command(tmp_path / "v", "run", "--port", str(taken_port))
    assert code == 2
    assert f"Port {taken_port} is in use" in said
    assert f"MAILDESK_PORT={taken_port + 1}" in said
    assert "Traceback" not in said


async def test_a_data_folder_that_is_a_file_is_said(tmp_path: Path) -> None:
    data = tmp_path / "v"
    data.write_text("")
    code, _, said = await command(data, "user", "list")
    assert code == 2
    assert "cannot be written" in said


async def test_an_encoder_that_was_never_exported_is_said(tmp_path: Path) -> None:
    data = tmp_path / "v"
    data.with_suffix(".toml").write_text(f'encoder = "{tmp_path / "none"}"\n')
    code, _, said = await command(data, "triage", ANGRIEST)
    assert code == 2
    assert "make setup" in said


async def test_bad_usage_has_exit_code_two(tmp_path: Path) -> None:
    assert (await command(tmp_path / "v", "parse"))[0] == 2
    assert (await command(tmp_path / "v", "no-such-command"))[0] == 2
