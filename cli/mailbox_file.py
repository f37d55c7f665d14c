"""The mailboxes in maildesk.toml: a block is added or taken out, the rest stays as written."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AoT

from desk.errors import Misconfigured
from desk.settings import config_file, read_settings

VARIABLE = "MAILDESK_MAILBOXES"


def add_block(block: Mapping[str, object]) -> Path:
    """Raises Misconfigured, and changes nothing, when the settings would be wrong with it."""
    document = _document()
    boxes = _boxes(document)
    table = tomlkit.item(dict(block))
    table.trivia.indent = "\n" if document.as_string().strip() else ""  # a line between blocks
    boxes.append(table)
    document["mailboxes"] = boxes
    return _replaced(document)


def remove_block(name: str) -> Path:
    """Raises Misconfigured when the file has none of this name."""
    document = _document()
    boxes = _boxes(document)
    kept = [box for box in boxes.unwrap() if box.get("name") != name]
    places = [n for n, box in enumerate(boxes.unwrap()) if box.get("name") == name]
    if not places:
        raise Misconfigured(f"{config_file()} has no mailbox named {name}")
    for place in reversed(places):
        del boxes[place]
    if not kept:
        del document["mailboxes"]
    return _replaced(document)


def _document() -> tomlkit.TOMLDocument:
    if VARIABLE in os.environ:
        raise Misconfigured(
            f"The mailboxes come from the variable {VARIABLE}: change them there, or remove it"
        )
    try:
        return tomlkit.parse(config_file().read_text("utf-8"))
    except FileNotFoundError:
        return tomlkit.document()
    except (OSError, UnicodeDecodeError, TOMLKitError) as error:
        raise Misconfigured(f"{config_file()} cannot be read: {error}") from error


def _boxes(document: tomlkit.TOMLDocument) -> AoT:
    boxes = document.get("mailboxes", tomlkit.aot())
    if not isinstance(boxes, AoT):
        raise Misconfigured(f"Write the mailboxes in {config_file()} as [[mailboxes]] blocks")
    return boxes


def _replaced(document: tomlkit.TOMLDocument) -> Path:
    """In one step; what was there comes back when it cannot be read as settings."""
    file = config_file()
    before = file.read_bytes() if file.exists() else None
    _write(file, tomlkit.dumps(document).encode())
    try:
        read_settings()
    except Misconfigured:
        if before is None:
            file.unlink()
        else:
            _write(file, before)
        raise
    return file


def _write(file: Path, content: bytes) -> None:
    """A new file is for its owner alone: it may hold secrets some day."""
    draft = file.with_name(f".{file.name}.new")
    mode = file.stat().st_mode & 0o777 if file.exists() else 0o600
    try:
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as opened:
            opened.write(content)
        draft.replace(file)
    except OSError as error:
        raise Misconfigured(f"{file} cannot be written: {error.strerror}") from error
