"""The attachments inside of Outlook's winmail.dat (MS-OXTNEF): listed, as those of any mail are.

One pass over the attributes, nothing is unpacked. The libraries for it have not been kept for
years, and read far more than the names.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from mimetypes import guess_type

from desk.email import Attachment
from mail.charset import decode
from mail.names import safe_name

TYPES = frozenset({"application/ms-tnef", "application/vnd.ms-tnef"})
SIGNATURE = struct.pack("<I", 0x223E9F78)  # MS-OXTNEF §2.1.3.1
ATTACHMENT = 2  # attrLevelAttachment
# MS-OXTNEF §2.1.3.3: the attributes that tell of an attachment
STARTS, TITLE, DATA, PROPERTIES = 0x9002, 0x8010, 0x800F, 0x9005
LONG_NAME, SHORT_NAME = 0x3707, 0x3704  # MS-OXCMSG: PidTagAttachLongFilename, …Filename
MAX_ATTACHMENTS, MAX_PROPERTIES = 200, 100
FIXED = {2: 4, 3: 4, 4: 4, 5: 8, 6: 8, 7: 8, 10: 4, 11: 4, 20: 8, 64: 8, 72: 16}
"""MS-OXTNEF §2.1.3.4: how many bytes a value of these types takes, padded to four."""
STRING_8, UNICODE, OBJECT, BINARY = 0x1E, 0x1F, 0x0D, 0x102
NAMED_FROM = 0x8000


@dataclass(slots=True)
class _File:
    names: dict[int, str] = field(default_factory=dict)
    data: bytes = b""

    def listed(self, number: int) -> Attachment:
        found = (self.names.get(key, "") for key in (LONG_NAME, SHORT_NAME, TITLE))
        name = safe_name(next(filter(None, found), "")) or f"part-{number}.bin"
        kind = guess_type(name)[0] or "application/octet-stream"
        return Attachment(name, kind, len(self.data), hashlib.sha256(self.data).hexdigest())


def attachments_in(data: bytes) -> list[Attachment]:
    """What is damaged is listed as far as it goes."""
    files: list[_File] = []
    for id, value in _attributes(data):
        if id == STARTS:
            if len(files) == MAX_ATTACHMENTS:
                break
            files.append(_File())
        elif files and id == DATA:
            files[-1].data = value
        elif files and id == TITLE:
            files[-1].names[TITLE] = decode(value.partition(b"\0")[0])[0]
        elif files and id == PROPERTIES:
            files[-1].names |= _names(value)
    return [file.listed(number) for number, file in enumerate(files, 1)]


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """MS-OXTNEF §2.1.3.2: level, id, type, length, value, checksum."""
    if not data.startswith(SIGNATURE):
        return
    position = 6
    while position + 9 <= len(data):
        level, id, _, length = struct.unpack_from("<BHHI", data, position)
        if level not in (1, ATTACHMENT):
            return
        position += 9
        if level == ATTACHMENT:
            yield id, data[position : position + length]
        position += length + 2


def _names(data: bytes) -> dict[int, str]:
    """The strings among an attachment's properties that are its names; ends at what it does not
    know."""
    found: dict[int, str] = {}
    reader = _Reader(data)
    try:
        for _ in range(min(reader.number(), MAX_PROPERTIES)):
            kind, id = struct.unpack("<HH", reader.take(4))
            if id >= NAMED_FROM:
                reader.skip_property_name()
            value = reader.value(kind)
            if id in (LONG_NAME, SHORT_NAME):
                found[id] = _text(kind, value)
    except (struct.error, EOFError):
        pass
    return found


def _text(kind: int, value: bytes) -> str:
    if kind == UNICODE:
        return value.decode("utf-16-le", "replace").partition("\0")[0]
    return decode(value.partition(b"\0")[0])[0]


@dataclass(slots=True)
class _Reader:
    """MS-OXTNEF §2.1.3.4: properties are padded to four bytes."""

    data: bytes
    position: int = 0

    def take(self, length: int) -> bytes:
        piece = self.data[self.position : self.position + length]
        if len(piece) < length:
            raise EOFError
        self.position += length + -length % 4
        return piece

    def number(self) -> int:
        return int(struct.unpack("<I", self.take(4))[0])

    def skip_property_name(self) -> None:
        self.take(16)  # whose name it is
        if self.number() == 1:  # a name in letters
            self.take(self.number())
        else:
            self.take(4)

    def value(self, kind: int) -> bytes:
        if kind in FIXED:
            return self.take(FIXED[kind])
        if kind & 0x1000 and kind & ~0x1000 in FIXED:
            return self.take(self.number() * FIXED[kind & ~0x1000])
        if kind & ~0x1000 not in (STRING_8, UNICODE, OBJECT, BINARY):
            raise EOFError
        value = b""
        for _ in range(min(self.number(), MAX_PROPERTIES)):
            value = self.take(self.number())
        return value
