"""Checkpoints of mailboxes with folders."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from mail.place import Place

NOW = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)
LATER = datetime(2026, 12, 1, tzinfo=UTC)


def test_a_place_reads_as_it_was_written() -> None:
    place = (
        Place(NOW, {}).moved("INBOX", "17:4").moved('Envoy&AOk-s "x"', "3:1").moved("INBOX", "9")
    )
    again = Place.read(place.written(), LATER)
    assert again == place
    assert (again.at("INBOX"), again.at("Archive")) == ("9", "")


@pytest.mark.parametrize(
    "checkpoint", ["", "17:4", "nonsense", "0", "[]", "{}", '{"connected": "x", "folders": {}}']
)
def test_a_checkpoint_of_another_kind_connects_now(checkpoint: str) -> None:
    assert Place.read(checkpoint, NOW) == Place(NOW, {})
