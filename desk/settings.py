"""Settings: defaults, then ``maildesk.toml``, then ``MAILDESK_*`` variables.

``MAILDESK_SLACK__CHANNEL`` is the key ``channel`` of the section ``slack``. docs/settings.md
describes each setting; a test keeps the two together.
"""

from __future__ import annotations

import os
import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from desk.classification import Urgency
from desk.errors import Misconfigured
from desk.mailbox_settings import SAMPLE, MailboxSettings, OAuthSettings
from desk.priority_settings import PrioritySettings
from desk.section import Port, Section
from desk.sla.promises import USUAL, Policies
from desk.sla.settings import (
    MINUTE,
    CalendarSettings,
    EscalationSettings,
    Minutes,
    PolicySettings,
    read_policies,
    require_mailboxes,
    spans,
)


class SlackSettings(Section):
    """Slack: on when ``bot_token`` is set; Socket Mode when ``app_token`` is set too."""

    bot_token: SecretStr = SecretStr("")
    signing_secret: SecretStr = SecretStr("")
    app_token: SecretStr = SecretStr("")
    channel: str = ""
    managers_channel: str = ""
    post_from: Urgency = Urgency.HIGH
    api_url: str = "https://slack.com/api/"


class TeamsSettings(Section):
    """Teams: on when ``app_id`` is set, or ``is_local_test`` (no authentication, loopback only)."""

    app_id: str = ""
    app_password: SecretStr = SecretStr("")
    tenant_id: str = ""
    channel: str = ""
    managers_channel: str = ""
    post_from: Urgency = Urgency.HIGH
    is_local_test: bool = False


class WriterSettings(Section):
    """A server that speaks ``/v1/chat/completions``: on when ``url`` is set."""

    url: str = ""
    model: str = "meta-llama/Meta-Llama-3-8B-Instruct"
    api_key: SecretStr = SecretStr("")
    dialect: Literal["tgi", "openai", "none"] = "tgi"
    timeout: float = Field(default=60.0, gt=0)
    calls: int = Field(default=8, gt=0)
    max_total_tokens: int = Field(default=8192, gt=0)


class SecondWriterSettings(WriterSettings):
    """Asked when the first one does not answer."""

    dialect: Literal["tgi", "openai", "none"] = "openai"


class KnowledgeSettings(Section):
    """Where passages are indexed: a Milvus server, or Milvus Lite in the data folder."""

    uri: str = ""
    token: SecretStr = SecretStr("")
    passages: int = Field(default=4, gt=0)


class PrivacySettings(Section):
    """``ner`` is a spaCy pipeline (name or path) that finds names in running text; ``patterns``
    are your own, by name."""

    ner: str = ""
    patterns: dict[str, str] = Field(default_factory=dict)


class Settings(BaseSettings):
    """All settings. Secrets never print."""

    model_config = SettingsConfigDict(
        env_prefix="MAILDESK_", env_nested_delimiter="__", extra="forbid", frozen=True
    )

    data: Path = Path("var")
    # their addresses hold passwords
    database: str = Field(default="", repr=False)
    redis: str = Field(default="", repr=False)
    host: str = "127.0.0.1"
    port: Port = 8080
    timezone: str = ""
    undo_seconds: float = Field(default=30.0, ge=0)
    sla_minutes: Minutes = Field(
        default_factory=lambda: {one: time / MINUTE for one, time in USUAL.items()}
    )
    calendars: tuple[CalendarSettings, ...] = ()
    policies: tuple[PolicySettings, ...] = ()
    escalation: EscalationSettings = EscalationSettings()
    priority: PrioritySettings = PrioritySettings()
    rules: Path | None = None
    sentiment_model: str = ""
    encoder: Path = Path("build/encoder")
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    mailboxes: tuple[MailboxSettings, ...] = ()
    oauth: OAuthSettings = OAuthSettings()
    slack: SlackSettings = SlackSettings()
    teams: TeamsSettings = TeamsSettings()
    tgi: WriterSettings = WriterSettings()
    second_writer: SecondWriterSettings = SecondWriterSettings()
    kb: KnowledgeSettings = KnowledgeSettings()
    privacy: PrivacySettings = PrivacySettings()

    @field_validator("sla_minutes")
    @classmethod
    def _complete(cls, value: Minutes) -> Minutes:
        missing = [urgency for urgency in Urgency if urgency not in value]
        if missing:
            raise ValueError(f"also say the minutes for {', '.join(missing)}")
        return value

    @field_validator("mailboxes")
    @classmethod
    def _distinct(cls, value: tuple[MailboxSettings, ...]) -> tuple[MailboxSettings, ...]:
        names = [mailbox.name for mailbox in value]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"two are named {', '.join(sorted(twice))}")
        return value

    @model_validator(mode="after")
    def _promised(self) -> Self:
        self.promises  # noqa: B018  raises when a calendar is missing
        require_mailboxes(self.policies, [one.name for one in self.mailboxes] or [SAMPLE])
        return self

    @field_validator("timezone")
    @classmethod
    def _known(cls, value: str) -> str:
        try:
            ZoneInfo(value or "UTC")
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError("write a time zone like Europe/Berlin") from None
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        toml = TomlConfigSettingsSource(settings_cls, config_file())
        return init_settings, env_settings, toml

    @property
    def sla(self) -> dict[Urgency, timedelta]:
        return spans(self.sla_minutes)

    @property
    def promises(self) -> Policies:
        """What is promised to the writers of each mailbox."""
        return read_policies(self.policies, self.calendars, self.sla, self.escalation.pace)

    @property
    def zone(self) -> ZoneInfo:
        """``TZ`` may also be written in POSIX' ways (":/etc/localtime", "CET-1CEST"): then UTC."""
        try:
            return ZoneInfo(self.timezone or os.environ.get("TZ") or "UTC")
        except (ZoneInfoNotFoundError, ValueError):
            return ZoneInfo("UTC")

    @property
    def database_url(self) -> str:
        return self.database or f"sqlite+aiosqlite:///{self.data.absolute() / 'desk.db'}"


def config_file() -> Path:
    return Path(os.environ.get("MAILDESK_CONFIG", "maildesk.toml"))


def read_settings(**overrides: Any) -> Settings:
    """Raises Misconfigured with every wrong setting by name."""
    file = config_file()
    _require_readable(file)
    try:
        given = {name: value for name, value in overrides.items() if value is not None}
        return Settings(**given)
    except ValidationError as error:
        problems = "; ".join(_problem(e["loc"], e["msg"]) for e in error.errors())
        raise Misconfigured(f"Wrong settings (see docs/settings.md): {problems}") from None
    except SettingsError as error:  # a variable that holds a section or a list; it names the field
        raise Misconfigured(f"A MAILDESK_ variable is not valid JSON: {error}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Misconfigured(f"{file} is not valid TOML: {error}") from error
    except OSError as error:
        raise Misconfigured(f"{file} cannot be read: {error.strerror}") from error


def _problem(place: tuple[int | str, ...], message: str) -> str:
    said = message.removeprefix("Value error, ")
    return f"{'.'.join(map(str, place))}: {said}" if place else said


def _require_readable(file: Path) -> None:
    """pydantic-settings passes over whatever is not a file; only the default one may be missing."""
    if "MAILDESK_CONFIG" in os.environ and not file.exists():
        raise Misconfigured(f"MAILDESK_CONFIG names {file}, which does not exist")
    if file.is_dir():
        raise Misconfigured(f"{file} cannot be read: it is a folder")
