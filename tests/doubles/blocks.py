"""Slack's rules for blocks and views, from slack_sdk's own validators and, for what these let pass,
from the reference (https://docs.slack.dev/reference/block-kit)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from slack_sdk.errors import SlackObjectFormationError
from slack_sdk.models.blocks import Block
from slack_sdk.models.views import View

Json = dict[str, Any]


def problems(blocks: Sequence[Json], most: int = 50) -> list[str]:
    """Why Slack would refuse these blocks; empty when it would not."""
    said = [f"{len(blocks)} blocks"] if not 1 <= len(blocks) <= most else []
    ids = [block["block_id"] for block in blocks if "block_id" in block]
    said += ["a block_id twice"] if len(set(ids)) < len(ids) else []
    actions = [e["action_id"] for b in blocks for e in b.get("elements", ()) if "action_id" in e]
    said += ["an action_id twice"] if len(set(actions)) < len(actions) else []
    for block in blocks:
        said += list(_of_block(block))
    if most == 50 and sum(map(len, strings(list(blocks)))) > 12_000:
        said.append("msg_blocks_too_long")
    return said


def view_problems(view: Json) -> list[str]:
    try:
        View(**view).validate_json()
    except SlackObjectFormationError as error:
        return [str(error)]
    said = problems(view["blocks"], most=100)
    if any(b["type"] == "input" for b in view["blocks"]) and "submit" not in view:
        said.append("input blocks without submit")
    return said


def _of_block(block: Json) -> Iterator[str]:
    parsed = Block.parse(block)
    if parsed is None:
        yield f"unknown block {block.get('type')}"
        return
    try:
        parsed.validate_json()
        for element in getattr(parsed, "elements", None) or ():
            if hasattr(element, "validate_json"):
                element.validate_json()
        if (element := getattr(parsed, "element", None)) is not None:
            element.validate_json()
    except SlackObjectFormationError as error:
        yield str(error)
    yield from _of_texts(block)


def _of_texts(value: Any) -> Iterator[str]:
    """The rules of each object inside, those that slack_sdk does not know."""
    if isinstance(value, list):
        for item in value:
            yield from _of_texts(item)
    if isinstance(value, dict):
        yield from (f"{name} in {value.get('type')}" for name, is_bad in _rules(value) if is_bad)
        for item in value.values():
            yield from _of_texts(item)


def _rules(value: Json) -> Iterator[tuple[str, bool]]:
    kind = value.get("type")
    yield "empty text", kind in ("mrkdwn", "plain_text") and not value["text"].strip()
    # not in the reference: https://github.com/NousResearch/hermes-agent/pull/59621
    yield "empty rich text", kind == "text" and not value["text"]
    yield "empty rich text", str(kind).startswith("rich_text") and not value["elements"]
    yield "long field", any(len(field["text"]) > 2000 for field in value.get("fields", ()))
    options = value.get("options", ())
    yield "long option", any(len(o["text"]["text"]) > 75 or len(o["value"]) > 150 for o in options)
    yield "number of options", kind == "overflow" and not 2 <= len(options) <= 5
    yield "long input", kind == "plain_text_input" and len(value.get("initial_value", "")) > 3000
    yield "long confirm", "deny" in value and len(value["text"]["text"]) > 300


def strings(value: Any, key: str = "") -> Iterator[str]:
    """All strings of a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)


def texts(value: Any, kind: str) -> list[str]:
    """The texts of all objects of a type: mrkdwn or plain_text."""
    if isinstance(value, list):
        return [text for item in value for text in texts(item, kind)]
    if not isinstance(value, dict):
        return []
    here = [value["text"]] if value.get("type") == kind and isinstance(value["text"], str) else []
    return here + [text for item in value.values() for text in texts(item, kind)]
