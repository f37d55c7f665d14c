"""Sealing of columns: AES-256-GCM with a key id in front and the place of the value as AAD.

A sealed value only opens in the table, column and row it was sealed for (NIST SP 800-38D §5.2.1.1).
The key file holds one line per key, ``<id> <base64 of 32 bytes>``, newest first; old keys open what
they sealed. The last line, ``index <base64>``, keys the blind index and never changes.
"""

from __future__ import annotations

import base64
import hmac
import os
import secrets
from contextlib import suppress
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from desk.errors import Misconfigured, Permanent

KEY_BYTES, NONCE_BYTES, ID_BYTES = 32, 12, 4


class Vault:
    """Seals with the newest key, opens with the one that sealed."""

    def __init__(self, keys: dict[bytes, bytes], index_key: bytes) -> None:
        self._newest = next(iter(keys))
        self._ciphers = {id: AESGCM(key) for id, key in keys.items()}
        self._index_key = index_key

    def seal(self, value: bytes, place: str) -> bytes:
        """``place`` is ``table.column:row id``."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        sealed = self._ciphers[self._newest].encrypt(nonce, value, place.encode())
        return self._newest + nonce + sealed

    def open(self, sealed: bytes, place: str) -> bytes:
        """Raises Permanent when the key is gone or the value was changed or moved."""
        id, rest = sealed[:ID_BYTES], sealed[ID_BYTES:]
        cipher = self._ciphers.get(id)
        if cipher is None:
            name = id.decode("ascii", "backslashreplace")
            raise Permanent(f"{place} was sealed with key {name}, which is not in the key file")
        try:
            return cipher.decrypt(rest[:NONCE_BYTES], rest[NONCE_BYTES:], place.encode())
        except InvalidTag:
            raise Permanent(f"{place} cannot be opened: it was changed, or moved") from None

    def blind(self, value: str) -> str:
        """A keyed hash under which equal values are found again without storing them."""
        folded = value.strip().casefold()
        return hmac.new(self._index_key, folded.encode(), "sha256").hexdigest()


def create_key_file(path: Path) -> None:
    """A new key file, readable by its owner only, whole and on the disk from its first moment: mail
    is sealed with it at once. An existing one is left alone."""
    key, index = (base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode() for _ in range(2))
    id = secrets.token_hex(ID_BYTES // 2)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as lines:
        lines.write(f"{id} {key}\nindex {index}\n")
        lines.flush()
        os.fsync(lines.fileno())
    try:
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """So that a name in it survives a power cut (fsync(2))."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def open_vault(path: Path) -> Vault:
    """Raises Misconfigured when the file is missing, open to others, unreadable or broken."""
    try:
        content = path.read_bytes()
        is_open_to_others = path.stat().st_mode & 0o077
    except FileNotFoundError:
        raise Misconfigured(
            f"The key file {path} is missing. Without it the stored mail cannot be read: put it"
            " back from your backup, or start afresh in another folder with --data."
        ) from None
    except IsADirectoryError:
        raise Misconfigured(f"The key file {path} cannot be read: it is a folder") from None
    except OSError as error:
        raise Misconfigured(
            f"The key file {path} cannot be read ({error.strerror}): it must belong to the user"
            " that runs Maildesk"
        ) from error
    if is_open_to_others:
        raise Misconfigured(f"Other users may read the key file {path}: run chmod 600 {path}")
    try:
        return Vault(*_read_keys(content.decode("ascii")))
    except (ValueError, KeyError) as error:
        raise Misconfigured(
            f"The key file {path} is damaged: put it back from your backup"
        ) from error


def _read_keys(lines: str) -> tuple[dict[bytes, bytes], bytes]:
    """The keys by their ids, newest first, and that of the index."""
    pairs = [line.split() for line in lines.splitlines() if line.strip()]
    keys = {id.encode(): base64.b64decode(key, validate=True) for id, key in pairs}
    index = keys.pop(b"index")
    if not keys or len(keys) + 1 != len(pairs):
        raise ValueError("no key, or two of one id")
    if any(len(id) != ID_BYTES for id in keys):
        raise ValueError("an id of another length")
    if any(len(key) != KEY_BYTES for key in (index, *keys.values())):
        raise ValueError("a key of another length")
    return keys, index
