"""mail.parse over thousands of real mails. MAILDESK_CORPUS is a folder that holds ``corpora``."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from mail.parse_pool import ParsePool
from tests.corpus import mails

FOLDER = Path(os.environ.get("MAILDESK_CORPUS", ""))
pytestmark = [
    pytest.mark.skipif("MAILDESK_CORPUS" not in os.environ, reason="needs MAILDESK_CORPUS"),
    pytest.mark.timeout(300),
]


async def test_every_file_is_read_and_none_holds_up_its_reader() -> None:
    """Whatever the files are: pictures and JSON are among them, and bytes are bytes."""
    raws = {path: path.read_bytes() for path in mails.files(FOLDER / "corpora")}
    assert len(raws) > 3_000
    async with ParsePool() as pool:
        found = await asyncio.gather(*map(pool.parse, raws.values()))
    unread = [
        (path, one.defects)
        for path, one in zip(raws, found, strict=True)
        if one.quarantine or any("could not be read" in defect for defect in one.defects)
    ]
    assert unread == []


def test_fields_are_what_the_collections_say() -> None:
    scores = mails.fields(FOLDER)
    asked = sum(score.asked for score in scores.values())
    wrong = [line for score in scores.values() for line in score.wrong]
    assert asked > 600
    assert len(wrong) <= 0.03 * asked, wrong
    for name in ("subject", "from", "date", "body"):
        assert scores[name].share >= 0.97, scores[name].wrong


def test_visible_replies() -> None:
    score = mails.replies(FOLDER)
    assert score.asked == 49
    assert score.right >= 40, score.wrong


def test_bounces_and_automatic_answers_are_known() -> None:
    score = mails.machines(FOLDER)
    assert score.asked > 500
    assert score.share >= 0.98, score.wrong


def test_people_are_not_taken_for_machines() -> None:
    score = mails.people(FOLDER)
    assert score.asked > 500
    assert score.share >= 0.997, score.wrong


def test_the_files_inside_of_winmail_dat_are_found() -> None:
    score = mails.containers(FOLDER)
    assert score.asked > 20
    assert score.wrong == []
