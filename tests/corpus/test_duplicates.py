"""mail.duplicates over ordinary mails: no two are taken for one, and copies are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from desk.email import ParsedEmail
from tests.corpus import duplicates

FOLDER = Path(os.environ.get("MAILDESK_CORPUS", ""))
pytestmark = [
    pytest.mark.skipif("MAILDESK_CORPUS" not in os.environ, reason="needs MAILDESK_CORPUS"),
    pytest.mark.timeout(300),
]

Known = list[tuple[Path, bytes, ParsedEmail]]


@pytest.fixture(scope="module")
def known() -> Known:
    found = duplicates.ordinary(FOLDER)
    assert len(found) > 400
    return found


def test_no_two_different_mails_are_taken_for_one(known: Known) -> None:
    pairs = list(duplicates.linked(known))
    assert len(pairs) >= 5
    assert [pair for pair in pairs if pair[2] < 0.9] == []


def test_a_reused_message_id_hides_no_other_text_and_no_other_figure(known: Known) -> None:
    for told in (duplicates.reused(known), duplicates.figures(known)):
        assert told.asked > 200
        assert told.wrong == []


def test_copies_are_linked_whatever_was_put_around_them(known: Known) -> None:
    for told in (duplicates.transported(known), duplicates.listed(known), duplicates.resent(known)):
        assert told.asked > 400
        assert told.wrong == []
