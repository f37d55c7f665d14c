"""What stands in deploy/ fits the code: settings, commands, paths, ports, metrics. Nothing is run:
there may be no Docker engine here."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from collections.abc import Iterator, Mapping
from importlib.metadata import requires
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web
from packaging.requirements import Requirement

from bot.web import web_app
from desk.metrics import Metrics
from desk.people import Role
from desk.settings import Settings, read_settings
from desk.ticket import TicketState
from tests.unit.test_docs import command_line

ROOT = Path(__file__).parent.parent.parent
DEPLOY = ROOT / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text("utf-8")
COMPOSE: Mapping[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))
SERVICES: Mapping[str, Mapping[str, Any]] = COMPOSE["services"]
OURS = ("bot", "worker")
SECRETS = ("POSTGRES_PASSWORD", "REDIS_PASSWORD", "MINIO_PASSWORD", "HF_TOKEN")


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The variables of a container and nothing of ours."""
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(f"MAILDESK_{name.upper()}", raising=False)
    return monkeypatch


def instructions() -> list[tuple[str, str, str]]:
    """(stage, instruction, rest) of the Dockerfile, continued lines joined."""
    found, stage = [], ""
    joined = re.sub(r"\\\n\s*", "", re.sub(r"^\s*#.*\n", "", DOCKERFILE, flags=re.MULTILINE))
    for line in filter(str.strip, joined.splitlines()):
        word, _, rest = line.strip().partition(" ")
        if word == "FROM":
            stage = rest.split(" AS ")[1]
        found.append((stage, word, rest.strip()))
    return found


def of(word: str) -> list[str]:
    return [rest for _, instruction, rest in instructions() if instruction == word]


def variables(service: str) -> dict[str, str]:
    """What a service is given, with every secret filled in."""
    given = SERVICES[service].get("environment", {})
    return {name: re.sub(r"\$\{(\w+):[?-]\}", r"secret-\1", value) for name, value in given.items()}


def offered() -> dict[str, str]:
    """The variables of env.example, also those that are commented out."""
    lines = (DEPLOY / "env.example").read_text("utf-8").splitlines()
    found = (re.fullmatch(r"#?([A-Z][A-Z_0-9]+)=(\S*)", line) for line in lines)
    return {match[1]: match[2] for match in found if match}


def has_field(variable: str) -> bool:
    """A variable whose first word is wrong is passed over silently, so it is looked up here."""
    return variable.removeprefix("MAILDESK_").split("__")[0].lower() in Settings.model_fields


# -- settings


@pytest.mark.parametrize("service", OURS)
def test_the_settings_of_a_service_are_read(service: str, environment: pytest.MonkeyPatch) -> None:
    given = {**variables(service), "MAILDESK_CONFIG": str(DEPLOY / "maildesk.toml")}
    for name, value in given.items():
        assert name == "MAILDESK_CONFIG" or has_field(name), name
        environment.setenv(name, value)
    settings = read_settings()
    assert settings.database_url.startswith(
        "postgresql+asyncpg://maildesk:secret-POSTGRES_PASSWORD@"
    )
    assert settings.redis == "redis://:secret-REDIS_PASSWORD@redis:6379/0"
    assert settings.kb.uri == "http://milvus:19530"
    assert settings.data == Path("/data")
    assert [box.kind for box in settings.mailboxes] == ["imap"]
    assert settings.mailboxes[0].smtp is not None


def test_the_variables_that_are_offered_are_settings(environment: pytest.MonkeyPatch) -> None:
    ours = {name: value for name, value in offered().items() if name.startswith("MAILDESK_")}
    for name, value in ours.items():
        assert has_field(name), name
        environment.setenv(name, value or "x")
    settings = read_settings()
    assert settings.tgi.url == "http://tgi:80"
    assert settings.second_writer.dialect == "openai"


def test_the_variables_of_the_image_are_settings(environment: pytest.MonkeyPatch) -> None:
    given = dict(re.findall(r"(MAILDESK_\w+)=(\S+)", " ".join(of("ENV"))))
    assert set(given) == {"MAILDESK_DATA", "MAILDESK_HOST"}
    for name, value in given.items():
        environment.setenv(name, value)
    assert (read_settings().data, read_settings().host) == (Path("/data"), "0.0.0.0")  # noqa: S104


def test_the_example_sets_nothing_that_differs_from_what_it_says(
    environment: pytest.MonkeyPatch,
) -> None:
    environment.setenv("MAILDESK_CONFIG", str(DEPLOY / "maildesk.toml"))
    given = tomllib.loads((DEPLOY / "maildesk.toml").read_text("utf-8"))
    settings, plain = read_settings(), Settings.model_construct()
    assert set(given) <= set(Settings.model_fields)
    assert settings.sla_minutes == plain.sla_minutes
    assert settings.zone.key == given["timezone"]
    assert re.search(settings.privacy.patterns["customer_number"], "KD-123456")


def test_secrets_come_from_the_file_that_is_not_committed() -> None:
    for service in OURS:
        assert SERVICES[service]["env_file"] == ".env"
    assert ".env" in (DEPLOY / ".gitignore").read_text("utf-8").split()
    used = set(re.findall(r"\$\{(\w+)", json.dumps(COMPOSE)))
    assert used == set(SECRETS)
    assert used <= set(offered())
    assert all(offered()[name] == "" for name in SECRETS)


# -- the image


def test_every_path_that_is_copied_exists() -> None:
    for stage, word, rest in instructions():
        if word == "COPY" and not rest.startswith("--from"):
            for path in rest.split()[:-1]:
                assert (ROOT / path).exists(), f"{stage} copies {path}"


def test_every_package_of_ours_is_copied() -> None:
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests", "bench"}
    copied = {rest.split()[0] for s, word, rest in instructions() if s == "code" and word == "COPY"}
    assert packages | {"app.py", "samples"} <= copied


def test_what_is_copied_is_not_ignored() -> None:
    ignored = set((ROOT / ".dockerignore").read_text("utf-8").split())
    assert not ignored & {rest.split()[0] for rest in of("COPY")}


def test_stages_copy_from_stages_that_come_before() -> None:
    seen: list[str] = []
    for stage, word, rest in instructions():
        if word == "COPY" and rest.startswith("--from="):
            assert rest.split()[0].removeprefix("--from=") in seen
        if stage not in seen:
            seen.append(stage)
    assert seen[-2:] == ["lean", "full"]
    assert {SERVICES[service]["build"]["target"] for service in OURS} <= set(seen)


def test_it_starts_the_program_and_not_as_root() -> None:
    assert of("USER") == ["maildesk"]
    assert json.loads(of("ENTRYPOINT")[-1]) == ["python", "app.py"]
    late = [word for _, word, _ in instructions()]
    after = late[late.index("USER") :]
    assert "RUN" not in after, "what runs after USER would not be root's"


def test_its_versions_are_those_of_the_project() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    torch = re.findall(r"torch==[\d.]+", DOCKERFILE)
    assert torch == re.findall(r"torch==[\d.]+", makefile)
    assert "--index-url ${TORCH_INDEX}" in DOCKERFILE
    assert "ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu" in DOCKERFILE
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["requires-python"] == ">=3.11"
    assert "python:3.11-slim" in DOCKERFILE


def test_the_encoder_is_made_where_the_settings_look_for_it() -> None:
    folder = Settings.model_fields["encoder"].default
    assert f"RUN python -m inference.export {folder}\n" in DOCKERFILE
    assert f"COPY --from=encoder /app/{folder} {folder}/\n" in DOCKERFILE


def test_the_console_finds_the_script_that_draws_cards() -> None:
    package = json.loads((ROOT / "package.json").read_text("utf-8"))
    assert list(package["dependencies"]) == ["adaptivecards"]
    assert "node_modules/adaptivecards node_modules/adaptivecards/" in DOCKERFILE


def needs(name: str) -> Iterator[str]:
    for line in requires(name) or []:
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield requirement.name.lower().replace("_", "-")


def closure(names: set[str], without: set[str]) -> set[str]:
    found, left = set[str](), list(names - without)
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += list(needs(name))
    return found


def test_what_is_removed_from_the_lean_image_is_needed_by_nothing_else_in_it() -> None:
    removed = set(re.search(r"pip uninstall --yes (.+)", DOCKERFILE)[1].split())  # type: ignore[index]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    ours = {Requirement(line).name.lower() for line in project["dependencies"]}
    assert "torch" in removed
    assert closure(ours, removed) & removed == set()


# -- the services


def test_the_health_check_asks_a_route_of_the_web_server() -> None:
    async def nothing() -> None: ...

    app = web_app([], Metrics(), {}, nothing)
    paths = {resource.canonical for resource in app.router.resources()}
    asked = re.findall(r"'(/\w+)'", of("HEALTHCHECK")[0])
    assert asked == ["/healthz"]
    assert set(asked) <= paths
    assert isinstance(app, web.Application)


def test_ports_are_the_default() -> None:
    port = Settings.model_fields["port"].default
    assert of("EXPOSE") == [str(port)]
    assert f"'{port}'" in of("HEALTHCHECK")[0]
    assert SERVICES["bot"]["ports"] == [f"127.0.0.1:{port}:{port}"]
    assert variables("bot")["MAILDESK_PORT"] == str(port)
    assert "ports" not in SERVICES["worker"]


@pytest.mark.parametrize("service", OURS)
def test_services_run_commands_of_the_program(service: str) -> None:
    assert tuple(SERVICES[service]["command"]) in command_line()


def test_all_wait_for_what_they_need_and_say_how_they_are() -> None:
    for name, service in SERVICES.items():
        for other, how in service.get("depends_on", {}).items():
            assert how["condition"] == "service_healthy"
            assert "test" in SERVICES[other].get("healthcheck", {}) or other == "bot", other
        has_check = "healthcheck" in service or name == "bot"  # the bot's is the image's
        assert has_check, name
    assert {"postgres", "redis", "bot"} == set(SERVICES["worker"]["depends_on"])


def test_volumes_are_declared() -> None:
    for name, service in SERVICES.items():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("./"):
                assert (DEPLOY / source).exists(), name
            else:
                assert source in COMPOSE["volumes"], name


def test_images_are_pinned() -> None:
    for name, service in SERVICES.items():
        tag = service["image"].partition(":")[2]
        assert tag not in ("", "latest"), name


def test_redis_keeps_jobs() -> None:
    command = " ".join(SERVICES["redis"]["command"])
    assert "--appendonly yes" in command
    assert "--maxmemory-policy noeviction" in command


def test_the_model_server_is_the_one_of_the_settings() -> None:
    tgi, plain = SERVICES["tgi"], Settings.model_construct()
    assert tgi["profiles"] == ["gpu"]
    command = dict(zip(tgi["command"][::2], tgi["command"][1::2], strict=True))
    assert command["--model-id"] == plain.tgi.model
    assert int(command["--max-total-tokens"]) == plain.tgi.max_total_tokens
    (device,) = tgi["deploy"]["resources"]["reservations"]["devices"]
    assert "gpu" in device["capabilities"]


# -- what is written about it


def test_the_commands_of_the_readme_exist() -> None:
    readme = (DEPLOY / "README.md").read_text("utf-8")
    lines = re.findall(r"docker compose run --rm (?:--volume \S+ )?(bot|worker) ([^`\n]+)", readme)
    assert len(lines) > 4
    for _, line in lines:
        words = shlex.split(line, comments=True)
        path = next((p for p in command_line() if tuple(words[: len(p)]) == p), None)
        assert path is not None, line
        known = {option for p in command_line()[path].params for option in p.opts}
        assert {word for word in words if word.startswith("--")} <= known, line
        assert "--role" not in words or words[words.index("--role") + 1] in list(Role)


def test_the_readme_says_what_was_never_run() -> None:
    readme = " ".join((DEPLOY / "README.md").read_text("utf-8").split())
    assert "the image was never built" in readme
    assert "a Milvus server and TGI with Llama 3 weights never ran with Maildesk" in readme


def test_alerts_ask_for_metrics_that_exist() -> None:
    rules = yaml.safe_load((DEPLOY / "alerts.yaml").read_text("utf-8"))["groups"][0]["rules"]
    metrics = Metrics()
    metrics.errors.labels("triage", "Transient").inc()
    text = metrics.text().decode()
    known = set(re.findall(r"^# TYPE (\w+)", text, re.MULTILINE))
    known |= set(re.findall(r"^(\w+)\{", text, re.MULTILINE))
    for rule in rules:
        names = re.findall(r"maildesk_\w+", rule["expr"])
        assert names, rule["alert"]
        assert set(names) <= known, rule["alert"]
        for state in re.findall(r'state="(\w+)"', rule["expr"]):
            assert state in list(TicketState)
