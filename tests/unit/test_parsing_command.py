"""The command parse on a mail that stops its parser: a record like any other, in time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cli.parsing import parse_files
from desk.child import ROOT

HARD = b"Content-Type: text/html\nSubject: endless\n\n" + b"<li>x" * 59_000
"""Takes some hundred milliseconds."""


async def test_a_mail_that_stops_its_parser_is_told_and_the_next_one_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hard, kettle = tmp_path / "hard.eml", tmp_path / "kettle.eml"
    hard.write_bytes(HARD)
    kettle.write_bytes(b"Subject: kettle\n\nIt leaks.\n")
    await parse_files([str(hard), str(kettle)], is_json=True, seconds=0.1)
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first["defects"] == ["quarantined: reading it took longer than 0.1 s."]
    assert (first["subject"], first["truncated"], first["text"]) == ("endless", True, "")
    assert (second["subject"], second["truncated"]) == ("kettle", False)


def test_the_command_loads_no_model_and_no_database() -> None:
    heavy = "{'sqlalchemy', 'aiohttp', 'onnxruntime', 'redis'}"
    code = f"import sys, cli.parsing; print(sorted({heavy} & set(sys.modules)))"
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True)
    assert said.stdout.decode().strip() == "[]"
