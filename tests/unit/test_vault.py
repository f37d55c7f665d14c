"""Sealing: only in its place, only with its key, and a key file that is said to be wrong."""

from __future__ import annotations

import os
import stat
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from desk.errors import Misconfigured, Permanent
from desk.vault import Vault, create_key_file, open_vault
from tests.doubles.postgres import NOBODY

OLD, NEW = {b"0001": b"a" * 32}, {b"0002": b"b" * 32}
INDEX = b"i" * 32
CLOSED = (
    "The key file %s cannot be read (Permission denied): it must belong to the user that runs"
    " Maildesk"
)


@given(st.binary(max_size=500), st.text(max_size=30))
def test_what_is_sealed_opens_in_its_place(value: bytes, place: str) -> None:
    vault = Vault(NEW, INDEX)
    sealed = vault.seal(value, place)
    assert vault.open(sealed, place) == value
    assert len(value) < 8 or value not in sealed


def test_nothing_opens_elsewhere_changed_or_without_its_key() -> None:
    vault = Vault(NEW, INDEX)
    sealed = vault.seal(b"hello", "emails.sealed:1")
    with pytest.raises(Permanent, match="changed, or moved"):
        vault.open(sealed, "emails.sealed:2")
    with pytest.raises(Permanent, match="changed, or moved"):
        vault.open(sealed[:-1] + bytes([sealed[-1] ^ 1]), "emails.sealed:1")
    with pytest.raises(Permanent, match="not in the key file"):
        Vault(OLD, INDEX).open(sealed, "emails.sealed:1")


def test_a_new_key_in_front_still_opens_what_the_old_one_sealed() -> None:
    sealed = Vault(OLD, INDEX).seal(b"hello", "p")
    both = Vault({**NEW, **OLD}, INDEX)
    assert both.open(sealed, "p") == b"hello"
    assert both.seal(b"x", "p").startswith(b"0002")


def test_equal_addresses_are_found_again_whatever_their_case() -> None:
    vault = Vault(NEW, INDEX)
    assert vault.blind(" Ann@X.example") == vault.blind("ann@x.example")
    assert vault.blind("ann@x.example") != vault.blind("omar@x.example")
    assert vault.blind("ann@x.example") != Vault(NEW, b"j" * 32).blind("ann@x.example")


def test_the_key_file_is_private_and_made_once(tmp_path: Path) -> None:
    file = tmp_path / "key"
    create_key_file(file)
    first = file.read_bytes()
    create_key_file(file)
    assert file.read_bytes() == first
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert open_vault(file).open(open_vault(file).seal(b"x", "p"), "p") == b"x"


def test_a_key_file_is_never_there_without_its_keys(tmp_path: Path) -> None:
    """Whoever starts at the same time finds none, or the whole of it."""
    for number in range(30):
        file = tmp_path / f"key{number}"
        maker = threading.Thread(target=create_key_file, args=[file])
        maker.start()
        while not file.exists():
            pass
        seen = file.read_bytes()
        maker.join()
        assert seen == file.read_bytes()
    assert len(list(tmp_path.iterdir())) == 30


KEY = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
"""32 bytes."""


@pytest.mark.parametrize(
    "content",
    [
        "",
        "x y\n",
        "0001 YWJj\nindex YWJj\n",
        "0001\n",
        "\xff",
        f"0001 {KEY}\n",
        f"index {KEY}\n",
        # a key of another length would seal what it cannot open again
        f"01 {KEY}\nindex {KEY}\n",
        f"00001 {KEY}\nindex {KEY}\n",
        # which of the two is meant?
        f"0001 {KEY}\n0001 {KEY[:-3]}g==\nindex {KEY}\n",
    ],
)
def test_a_damaged_key_file_is_said_to_be(tmp_path: Path, content: str) -> None:
    file = tmp_path / "key"
    file.write_bytes(content.encode("latin-1"))
    file.chmod(0o600)
    with pytest.raises(Misconfigured, match="is damaged"):
        open_vault(file)


def test_a_key_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "key"
    create_key_file(file)
    file.chmod(0o644)
    with pytest.raises(Misconfigured, match="chmod 600"):
        open_vault(file)


def test_a_missing_key_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="put it back from your backup"):
        open_vault(tmp_path / "key")


def test_a_key_file_that_cannot_be_read_says_so_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "key").mkdir(mode=0o700)
    with pytest.raises(Misconfigured, match="cannot be read: it is a folder"):
        open_vault(tmp_path / "key")
    (tmp_path / "file").write_text("")
    with pytest.raises(Misconfigured, match="cannot be read"):
        open_vault(tmp_path / "file" / "key")


def refusal_without_rights(work: Callable[[], object]) -> str:
    """What it is refused with in a process that is not root, whoever runs the tests."""
    source, sink = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            work()
        except Misconfigured as error:
            os.write(sink, str(error).encode())
        finally:
            os._exit(0)
    os.close(sink)
    with os.fdopen(source) as said:
        text = said.read()
    os.waitpid(child, 0)
    return text


def test_a_key_file_of_somebody_else_says_so_in_a_sentence() -> None:
    # where everybody may look into the folder, so that it is the file that is closed
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        key = Path(folder, "key")
        create_key_file(key)
        assert refusal_without_rights(lambda: open_vault(key)) == (
            "" if os.geteuid() else CLOSED % key
        )
        key.chmod(0o000)
        assert refusal_without_rights(lambda: open_vault(key)) == CLOSED % key
