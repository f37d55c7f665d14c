"""Where reading a Gmail mailbox goes on: whatever was written is read back, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail.gmail_checkpoint import Checkpoint

NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
PLACE = Checkpoint(str(2**70 + 1), NOW, NOW - timedelta(days=14), NOW - timedelta(days=1))


@pytest.mark.parametrize(
    ("listing", "after"), [("", ""), ("inbox", ""), ("all", "18c"), ("", "18c")]
)
def test_it_is_read_as_it_was_written(listing: str, after: str) -> None:
    """History ids may have more than 64 bits."""
    place = Checkpoint(PLACE.history, PLACE.seen, PLACE.floor, PLACE.since, listing, after)
    assert Checkpoint.read(place.text()) == place


@given(st.text())
def test_what_is_none_of_ours_is_none(text: str) -> None:
    assert Checkpoint.read(text) is None


@pytest.mark.parametrize(
    "text", ["", "0", "[]", "null", '{"gmail":"x"}', '{"gmail":"1"}', PLACE.text()[:-3]]
)
def test_what_is_cut_or_of_another_mailbox_is_none(text: str) -> None:
    assert Checkpoint.read(text) is None


def test_times_that_no_calendar_has_are_none() -> None:
    assert Checkpoint.read('{"gmail":"1","seen":1e30,"floor":0,"since":0}') is None
