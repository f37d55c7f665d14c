"""Triage on the sample mailbox, which no head was trained on: floors below what was measured."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from tests.doubles.command_line import command
from tests.doubles.maildesk import ROOT
from tests.services import need_file

SAMPLES = ROOT / "samples"
FLOORS = {"urgency": 0.75, "sentiment": 0.7, "category": 0.62}


@pytest.mark.timeout(120)
async def test_triage_reads_the_sample_mailbox_well(tmp_path: Path) -> None:
    need_file(ROOT / "build" / "encoder" / "manifest.json", "make setup")
    rows = [json.loads(line) for line in (SAMPLES / "labels.jsonl").read_text().splitlines()]
    files = [str(SAMPLES / "mailbox" / row["file"]) for row in rows]
    code, found, _ = await command(tmp_path / "v", "triage", "--json", *files)
    assert code == 0
    right: Counter[str] = Counter()
    for row, told in zip(rows, found, strict=True):
        for part in FLOORS:
            right[part] += told[part]["label"] == row[part]  # type: ignore[index]
        if row["urgency"] == "critical":
            assert told["urgency"]["label"] in ("critical", "high"), row["file"]  # type: ignore[index]
    assert {part: right[part] / len(rows) >= floor for part, floor in FLOORS.items()} == {
        part: True for part in FLOORS
    }, right
