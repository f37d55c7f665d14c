"""Settings: defaults, then the file, then variables; what is wrong is told by name, in one
sentence."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from desk.classification import Urgency
from desk.errors import Misconfigured
from desk.settings import Settings, read_settings

SECRET = "hunter2"
MAILBOX = '[[mailboxes]]\nname = "support"\naddress = "support@example.com"\n'


@pytest.fixture(autouse=True)
def nothing_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder and no variables of the person who runs the tests."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MAILDESK_CONFIG", raising=False)
    monkeypatch.delenv("TZ", raising=False)
    for name in Settings.model_fields:
        monkeypatch.delenv(f"MAILDESK_{name.upper()}", raising=False)


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that MAILDESK_CONFIG names; empty."""
    file = tmp_path / "elsewhere" / "desk.toml"
    file.parent.mkdir()
    file.touch()
    monkeypatch.setenv("MAILDESK_CONFIG", str(file))
    return file


def problem() -> str:
    with pytest.raises(Misconfigured) as caught:
        read_settings()
    said = str(caught.value)
    assert "\n" not in said
    return said


def test_without_file_and_variables_there_are_defaults(tmp_path: Path) -> None:
    settings = read_settings()
    assert (settings.host, settings.port) == ("127.0.0.1", 8080)
    assert settings.mailboxes == ()
    assert settings.sla[Urgency.CRITICAL] == timedelta(hours=1)
    assert settings.zone.key == "UTC"
    assert settings.database_url == f"sqlite+aiosqlite:///{tmp_path / 'var' / 'desk.db'}"
    assert settings.second_writer.dialect == "openai"


def test_the_file_in_the_folder_is_read(tmp_path: Path) -> None:
    (tmp_path / "maildesk.toml").write_text("port = 9000\n")
    assert read_settings().port == 9000


def test_the_file_that_is_named_is_read_instead(tmp_path: Path, given: Path) -> None:
    (tmp_path / "maildesk.toml").write_text("port = 9000\n")
    given.write_text(f'port = 9001\n{MAILBOX}[slack]\nchannel = "C1"\npost_from = "normal"\n')
    settings = read_settings()
    assert settings.port == 9001
    assert [box.name for box in settings.mailboxes] == ["support"]
    assert (settings.slack.channel, settings.slack.post_from) == ("C1", Urgency.NORMAL)


def test_variables_win_over_the_file_and_arguments_over_both(
    given: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given.write_text('port = 9001\ndata = "file"\nhost = "::1"\n')
    monkeypatch.setenv("MAILDESK_PORT", "9002")
    monkeypatch.setenv("MAILDESK_DATA", "variable")
    settings = read_settings(data=Path("argument"), port=None)
    assert (settings.host, settings.port, settings.data) == ("::1", 9002, Path("argument"))


def test_a_variable_changes_one_key_of_a_section(
    given: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given.write_text('[slack]\nchannel = "C1"\nmanagers_channel = "C2"\n')
    monkeypatch.setenv("MAILDESK_SLACK__CHANNEL", "C3")
    slack = read_settings().slack
    assert (slack.channel, slack.managers_channel) == ("C3", "C2")


def test_a_variable_changes_one_due_time_of_the_file(
    given: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given.write_text("[sla_minutes]\ncritical = 1\nhigh = 2\nnormal = 3\nlow = 4\n")
    monkeypatch.setenv("MAILDESK_SLA_MINUTES__HIGH", "90")
    assert list(read_settings().sla_minutes.values()) == [1, 90, 3, 4]


def test_the_second_writer_keeps_its_dialect_when_only_its_address_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MAILDESK_SECOND_WRITER__URL", "http://127.0.0.1:1")
    assert read_settings().second_writer.dialect == "openai"


def test_mailboxes_can_be_given_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAILDESK_MAILBOXES", '[{"name": "a", "address": "a@b.example"}]')
    assert [box.address for box in read_settings().mailboxes] == ["a@b.example"]


@pytest.mark.parametrize(
    ("toml", "name"),
    [
        ("prt = 1", "prt"),
        ("[slack]\nchanel = 'C1'", "slack.chanel"),
        ("port = 'many'", "port"),
        ("port = 65536", "port"),
        ("undo_seconds = -1", "undo_seconds"),
        ("log_level = 'loud'", "log_level"),
        ("mailboxes = 'support'", "mailboxes"),
        ("[[mailboxes]]\nname = 'support'", "mailboxes.0.address"),
        (f"{MAILBOX}kind = 'pop3'", "mailboxes.0.kind"),
        (f"{MAILBOX}[mailboxes.smtp]\nport = 25", "mailboxes.0.smtp.host"),
        ("[slack]\npost_from = 'urgent'", "slack.post_from"),
        ("[tgi]\ntimeout = 0", "tgi.timeout"),
        ("[kb]\npassages = 0", "kb.passages"),
        ("timezone = 'Europe/Nowhere'", "timezone"),
        ("timezone = 'Europe'", "timezone"),
        ("timezone = '/etc/passwd'", "timezone"),
        ("[sla_minutes]\ncritical = 1\nhigh = 2\nlow = 4", "sla_minutes"),
        ("[sla_minutes]\ncritical = 1\nhigh = 2\nnormal = 3\nlow = 4\nsoon = 5", "sla_minutes"),
        ("[sla_minutes]\ncritical = -1\nhigh = 2\nnormal = 3\nlow = 4", "sla_minutes.critical"),
        ("[sla_minutes]\ncritical = 1\nhigh = 2\nnormal = 3\nlow = inf", "sla_minutes.low"),
        ("[escalation]\nrepeat_minutes = inf", "escalation.repeat_minutes"),
        (
            "[priority]\nvips = ['lindqvist.example']",
            "priority.vips: 'lindqvist.example' is no address",
        ),
        (
            "[[calendars]]\nname = 'a'\nhours = ['mon 09:00-10:00']\n"
            "[[policies]]\ncalendar = 'a'\n[escalation]\nclaimed_minutes = 100000",
            "the calendar 'a' has too few hours for what [escalation] says",
        ),
        (
            f"{MAILBOX}[[policies]]\nmailbox = 'suport'",
            "a policy is for the mailbox 'suport': there is only support",
        ),
        (
            "[[policies]]\nmailbox = 'sales'",
            "a policy is for the mailbox 'sales': there is only support",
        ),
        ("[[policies]]\n[[policies]]", "two policies are for the mailbox ''"),
        ("[[calendars]]\nname = 'a'\n[[calendars]]\nname = 'a'", "two calendars are named 'a'"),
    ],
)
def test_what_is_wrong_is_told_by_its_name(given: Path, toml: str, name: str) -> None:
    given.write_text(toml)
    assert f" {name}" in problem()


def test_every_wrong_setting_is_told_at_once(given: Path) -> None:
    given.write_text("port = 'many'\nprt = 1\ntimezone = 'Mars'\n")
    said = problem()
    assert all(f" {name}: " in said for name in ("port", "prt", "timezone"))


def test_missing_due_times_are_named(given: Path) -> None:
    given.write_text("[sla_minutes]\ncritical = 1\nhigh = 2\n")
    assert problem().endswith("sla_minutes: also say the minutes for low, normal")


def test_a_wrong_variable_is_told_by_the_name_of_its_setting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MAILDESK_KB__PASSAGES", "some")
    monkeypatch.setenv("MAILDESK_SLACK__CHANEL", "C1")
    said = problem()
    assert " kb.passages: " in said
    assert " slack.chanel: " in said


def test_a_variable_that_is_no_json_is_told_by_its_name_and_not_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MAILDESK_MAILBOXES", f'[{{"password": "{SECRET}"')
    said = problem()
    assert '"mailboxes"' in said
    assert SECRET not in said


@pytest.mark.parametrize(
    "content", [b"port = ", b"[slack", b'host = "\xff"', b"port = 1\nport = 2"]
)
def test_a_broken_file_is_told(given: Path, content: bytes) -> None:
    given.write_bytes(content)
    assert problem().startswith(f"{given} is not valid TOML: ")


def test_a_folder_in_place_of_the_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "maildesk.toml").mkdir()
    assert problem() == "maildesk.toml cannot be read: it is a folder"


def test_a_named_file_that_is_missing_is_told(given: Path) -> None:
    given.unlink()
    assert problem() == f"MAILDESK_CONFIG names {given}, which does not exist"


@pytest.mark.parametrize("zone", [":/etc/localtime", "CET-1CEST", "Europe"])
def test_a_tz_that_is_no_zone_means_utc(monkeypatch: pytest.MonkeyPatch, zone: str) -> None:
    monkeypatch.setenv("TZ", zone)
    assert read_settings().zone.key == "UTC"


def test_the_setting_wins_over_tz(given: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    assert read_settings().zone.key == "Asia/Tokyo"
    given.write_text('timezone = "Europe/Berlin"')
    assert read_settings().zone.key == "Europe/Berlin"


def test_secrets_never_print(given: Path) -> None:
    writer = f'api_key = "{SECRET}"\n'
    given.write_text(
        f'database = "postgresql+asyncpg://desk:{SECRET}@db/desk"\n'
        f'redis = "redis://:{SECRET}@redis:6379/0"\n'
        f'{MAILBOX}password = "{SECRET}"\n'
        f'[mailboxes.smtp]\nhost = "mail.example"\npassword = "{SECRET}"\n'
        f'[slack]\nbot_token = "{SECRET}"\nsigning_secret = "{SECRET}"\napp_token = "{SECRET}"\n'
        f'[teams]\napp_password = "{SECRET}"\n'
        f"[tgi]\n{writer}[second_writer]\n{writer}"
        f'[kb]\ntoken = "{SECRET}"\n'
    )
    settings = read_settings()
    assert settings.tgi.api_key.get_secret_value() == SECRET
    assert SECRET in settings.database_url
    assert SECRET not in f"{settings!r} {settings} {settings.mailboxes!r} {settings.slack!r}"


def test_a_wrong_secret_is_not_shown(given: Path) -> None:
    given.write_text(f'{MAILBOX}password = ["{SECRET}"]\n')
    said = problem()
    assert "mailboxes.0.password" in said
    assert SECRET not in said


def test_settings_do_not_change() -> None:
    settings = read_settings()
    with pytest.raises(ValueError, match="frozen"):
        settings.port = 1


def test_two_mailboxes_of_one_name_are_refused(given: Path) -> None:
    one = '[[mailboxes]]\nname = "support"\naddress = "support@lanewright.example"\n'
    given.write_text(one + one)
    with pytest.raises(Misconfigured, match="mailboxes: two are named support"):
        read_settings()


def test_a_policy_is_for_a_mailbox_that_there_is(given: Path) -> None:
    policy = '[[policies]]\nmailbox = "support"\nfirst_reply_minutes = { high = 5 }\n'
    for toml in (policy, MAILBOX + policy):
        given.write_text(toml + "[[policies]]\n")
        assert list(read_settings().promises.of) == ["support"], "one without a name is for all"
    given.write_text("[[policies]]\nmailbox = 'sales'\n[[policies]]\nmailbox = 'bills'\n")
    said = "a policy is for the mailbox 'bills': there is only support"
    assert problem() == f"Wrong settings (see docs/settings.md): {said}"
