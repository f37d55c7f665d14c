"""What the commands print: tables and fields for people, every field for scripts."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from cli import output

DUE = datetime(2026, 11, 23, 6, 43, 50, tzinfo=UTC)
ROWS: list[output.Record] = [
    {"id": 1, "subject": "[P1] API 502 [/red]", "due": DUE, "score": 1795415030.1, "ok": None},
    {"id": 12, "subject": "Scanners", "due": None, "score": 5.0, "ok": False},
]


def test_people_read_a_table_of_the_chosen_columns(capsys: pytest.CaptureFixture[str]) -> None:
    output.show_list(ROWS, ("id", "subject", "due"), as_json=False)
    head, first, second = capsys.readouterr().out.splitlines()
    assert head.split() == ["id", "subject", "due"]
    assert first.split(maxsplit=1)[1].startswith("[P1] API 502 [/red]")
    assert f"{DUE.astimezone():%Y-%m-%d %H:%M}" in first
    assert second.split() == ["12", "Scanners"]


def test_scripts_get_every_field_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    output.show_list(ROWS, ("id",), as_json=True, empty="Nothing.")
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first == {**ROWS[0], "due": "2026-11-23T06:43:50+00:00"}
    assert second == ROWS[1]


@pytest.mark.parametrize(("as_json", "said"), [(False, "Nobody waits.\n"), (True, "")])
def test_an_empty_list_is_said_to_people_alone(
    capsys: pytest.CaptureFixture[str], as_json: bool, said: str
) -> None:
    output.show_list([], ("id",), as_json=as_json, empty="Nobody waits.")
    assert capsys.readouterr().out == said


def test_a_record_is_read_field_by_field_without_empty_ones(
    capsys: pytest.CaptureFixture[str],
) -> None:
    record: output.Record = {
        "is_open": True,
        "problem": "",
        "tries": 0,
        "text": "One\nTwo",
        "findings": [{"check": "figures", "severity": "good"}, {"check": "links"}],
        "reasons": ("late", "angry"),
    }
    output.show([record], as_json=False)
    assert capsys.readouterr().out == (
        "is open: yes\n"
        "tries: 0\n"
        "text:\n    One\n    Two\n"
        "findings:\n    check figures, severity good\n    check links\n"
        "reasons: late; angry\n\n"
    )


def test_findings_stand_under_each_other_with_a_mark(capsys: pytest.CaptureFixture[str]) -> None:
    rows: list[output.Record] = [
        {"name": "redis", "ok": True, "detail": "answers"},
        {"name": "knowledge base", "ok": False, "detail": "is away"},
        {"name": "slack", "ok": None, "detail": "not configured"},
    ]
    output.show_findings(rows, as_json=False)
    assert capsys.readouterr().out.splitlines() == [
        "  ok    redis           answers",
        "  FAILS knowledge base  is away",
        "  -     slack           not configured",
    ]
