"""The documentation holds what the code holds: every setting, command, verb and dependency.

UPDATE_GOLDEN=1 writes the block of commands anew; read the difference before committing it.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
import types
from collections.abc import Iterator
from datetime import date
from enum import Enum
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args, get_origin

import pytest
import typer.main
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from app import cli
from bot.commands import HELP, VERBS
from desk.access import NEEDS
from desk.classification import Urgency
from desk.settings import Settings
from desk.sla.settings import Minutes, Wait

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"
BEGIN, END = "<!-- commands: generated -->\n", "<!-- end of commands -->"

WORDS: dict[object, str] = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    Path: "path",
    SecretStr: "secret",
    Urgency: "`low`, `normal`, `high`, `critical`",
    tuple[str, ...]: "list of texts",
    dict[str, str]: "table of texts",
    tuple[date, ...]: "list of dates",
    dict[Urgency, float]: "table of numbers",
    Minutes: "table of numbers",
    Wait: "number",
}


def read(name: str) -> str:
    return (DOCS / name).read_text("utf-8")


def rows(markdown: str, columns: int) -> Iterator[list[str]]:
    """The cells of every table row that has so many, without heads."""
    for line in markdown.splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1]]
        if len(cells) == columns and cells[0].startswith("`"):
            yield cells


# -- settings


class Entry(NamedTuple):
    """A row of docs/settings.md without its meaning; ``variable`` is empty inside of mailboxes."""

    name: str
    type: str
    default: str
    variable: str


def section_of(annotation: object) -> type[BaseModel] | None:
    """The section that a field is, may be, or is a list of."""
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


def type_of(annotation: object) -> str:
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(annotation))
    if get_origin(annotation) is types.UnionType:
        return type_of(next(one for one in get_args(annotation) if one is not types.NoneType))
    return WORDS[annotation]


def default_of(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if isinstance(value, dict):
        return ", ".join(f"{key} {number:g}" for key, number in value.items()) or "none"
    if isinstance(value, tuple):
        return ", ".join(f"`{one}`" for one in value) or "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    return (
        "none"
        if value in ("", None)
        else f"`{value}`"
        if not isinstance(value, int)
        else f"{value}"
    )


def entries(
    model: type[BaseModel], path: tuple[str, ...] = (), in_list: bool = False
) -> Iterator[Entry]:
    for name, field in model.model_fields.items():
        place = (*path, name)
        inner = section_of(field.annotation)
        if inner is not None:
            is_list = get_origin(field.annotation) is tuple
            yield from entries(inner, place, in_list or is_list)
            continue
        variable = "" if in_list else f"MAILDESK_{'__'.join(place).upper()}"
        yield Entry(".".join(place), type_of(field.annotation), default_of(field), variable)


def documented() -> dict[str, tuple[Entry, str]]:
    found = {}
    for name, type, default, variable, meaning in rows(read("settings.md"), 5):
        entry = Entry(name.strip("`"), type, default, variable.strip("`"))
        assert entry.name not in found, f"{entry.name} is described twice"
        found[entry.name] = (entry, meaning)
    return found


def test_every_setting_is_described_and_nothing_else_is() -> None:
    expected = {entry.name: entry for entry in entries(Settings)}
    found = {name: entry for name, (entry, _) in documented().items()}
    assert found == expected


def test_every_setting_has_a_meaning() -> None:
    for name, (_, meaning) in documented().items():
        assert len(meaning) > 10, f"what does {name} mean?"


def test_the_settings_page_names_the_file_and_its_variable() -> None:
    assert "`maildesk.toml`" in read("settings.md")
    assert "`MAILDESK_CONFIG`" in read("settings.md")


# -- commands of the command line


def usage_of(parameter: Any) -> tuple[str, str]:
    """How a parameter is written, and its help. Typer's types are private, hence Any."""
    help = parameter.help or ""
    if parameter.param_type_name == "argument":
        return f"{parameter.name.upper()}{'...' if parameter.nargs == -1 else ''}", help
    written = max(parameter.opts, key=len)
    if parameter.is_flag:
        return written, help
    kind = parameter.name.upper()
    if isinstance(parameter.default, Enum):
        kind = "|".join(str(one.value) for one in type(parameter.default))
    return f"{written} {kind}", f"{help} (required)" if parameter.required else help


def leaves(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, inner in command.commands.items():
        if hasattr(inner, "commands"):
            yield from leaves(inner, (*path, name))
        else:
            yield (*path, name), inner


def command_line() -> dict[tuple[str, ...], Any]:
    return dict(leaves(typer.main.get_command(cli)))


def rendered() -> str:
    """Every command as plain text; each parameter on a line of its own, so no width matters."""
    blocks = []
    for path, command in command_line().items():
        parameters = [usage_of(p) for p in command.params if p.name != "help"]
        arguments = [usage for usage, _ in parameters if not usage.startswith("-")]
        lines = [" ".join([*path, *arguments]), f"  {' '.join(command.help.split())}"]
        lines += [f"    {usage.ljust(30)}{help}".rstrip() for usage, help in parameters]
        blocks.append("\n".join(lines))
    return "```\n" + "\n\n".join(blocks) + "\n```\n"


def test_the_commands_are_those_of_the_program() -> None:
    page = read("commands.md")
    before, _, rest = page.partition(BEGIN)
    block, end, after = rest.partition(END)
    if os.environ.get("UPDATE_GOLDEN") == "1":
        text = f"{before}{BEGIN}{rendered()}{end}{after}"
        (DOCS / "commands.md").write_text(text, "utf-8")
        return
    assert block == rendered(), "UPDATE_GOLDEN=1 writes it anew"


@pytest.mark.parametrize("path", command_line(), ids=" ".join)
def test_every_command_says_what_it_does(path: tuple[str, ...]) -> None:
    assert command_line()[path].help
    assert f"\n{' '.join(path)}" in rendered()


# -- commands and verbs of people


def test_every_chat_command_is_described_as_its_help_says() -> None:
    section = read("commands.md").partition("## In chat")[2].partition("\n## ")[0]
    assert {usage.strip("`"): meaning for usage, meaning in rows(section, 2)} == dict(HELP)


def verb_rows() -> list[list[str]]:
    return list(rows(read("commands.md").partition("## What people can do")[2], 5))


def test_every_verb_of_people_is_described_with_its_role_and_its_command() -> None:
    typed = {verb: f"`12 {word}`" for word, verb in VERBS.items()}
    expected = {
        (f"`{verb}`", role.value, typed.get(verb, "card only")) for verb, role in NEEDS.items()
    }
    assert {(verb, role, command) for verb, role, command, _, _ in verb_rows()} == expected


def test_what_may_refuse_a_verb_is_quoted_from_the_code() -> None:
    source = "".join(
        (ROOT / "desk" / name).read_text("utf-8")
        for name in (
            "access.py",
            "action.py",
            "alarms.py",
            "change.py",
            "decisions.py",
            "files.py",
            "ranking.py",
            "replies.py",
            "standing.py",
        )
    )
    for verb, _, _, does, refuses in verb_rows():
        assert len(does) > 10, verb
        quotes = re.findall("“(.+?)”", refuses)
        assert quotes, f"what may refuse {verb}?"
        for quote in quotes:
            # an ellipsis stands for what the code fills in
            for part in filter(None, quote.split("…")):
                assert part in source, f"{verb}: nothing says {part!r}"


# -- dependencies


def required() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    lists = [project["dependencies"], *project["optional-dependencies"].values()]
    python = {re.split(r"[^A-Za-z0-9._-]", one, maxsplit=1)[0] for group in lists for one in group}
    package = json.loads((ROOT / "package.json").read_text("utf-8"))
    return python | set(package["dependencies"]) | set(package["devDependencies"])


PARTS_OF_ANOTHER = {"pytest-asyncio", "pytest-timeout", "pytest-xdist", "types-PyYAML"}
"""Named with what they belong to: pytest and pyyaml."""


def test_every_dependency_is_named_with_its_reason() -> None:
    words = set(re.findall(r"[@A-Za-z0-9][@A-Za-z0-9._/-]*", read("dependencies.md")))
    named = {word.lower().rstrip(".") for word in words}
    assert {name for name in required() - PARTS_OF_ANOTHER if name.lower() not in named} == set()
