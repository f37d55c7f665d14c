"""The numbers of a Maildir's mails: never used twice, whatever is taken back or shortened."""

from __future__ import annotations

from pathlib import Path

from mail.maildir_index import COMPACT_LINES, MaildirIndex


def test_a_key_that_was_taken_back_comes_again_at_the_end_and_only_there(tmp_path: Path) -> None:
    index = MaildirIndex(tmp_path / "index")
    index.add(["a", "b"])
    index.forget(["a", "unknown"])
    assert "a" not in index
    index.add(["a", "b"])
    for reader in (index, MaildirIndex(tmp_path / "index")):
        reader.refresh()
        assert list(reader.after(0)) == [(2, "b"), (3, "a")]
        assert list(reader.after(2)) == [(3, "a")]


def test_numbers_of_dropped_mails_are_not_used_again(tmp_path: Path) -> None:
    index = MaildirIndex(tmp_path / "index")
    index.add(["kept", *(f"gone {number}" for number in range(COMPACT_LINES))])
    first = index.id
    index.compact({"kept"})
    again = MaildirIndex(tmp_path / "index")
    again.add(["new"])
    index.refresh()
    for reader in (index, again):
        assert list(reader.after(0)) == [(1, "kept"), (COMPACT_LINES + 2, "new")]
        assert reader.id == first


def test_a_list_of_living_mails_is_not_shortened(tmp_path: Path) -> None:
    keys = [str(number) for number in range(COMPACT_LINES + 1)]
    index = MaildirIndex(tmp_path / "index")
    index.add(keys)
    index.compact(set(keys))
    assert [key for _, key in index.after(0)] == keys
