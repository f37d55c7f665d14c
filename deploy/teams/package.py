"""Makes the app package that Teams is given:  python deploy/teams/package.py APP_ID DOMAIN

Also draws the icons: an envelope in the sizes that Teams asks for
(https://learn.microsoft.com/microsoftteams/platform/concepts/build-and-test/apps-package).
"""

from __future__ import annotations

import json
import struct
import sys
import uuid
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent
NAVY, WHITE, CLEAR = b"\x1f\x3a\x4d\xff", b"\xff\xff\xff\xff", b"\xff\xff\xff\x00"

Pixel = Callable[[float, float], bytes]


def png(size: int, pixel: Pixel) -> bytes:
    """A square picture (https://www.w3.org/TR/png-3/); ``pixel`` takes 0..1 across and down."""
    middle = [(at + 0.5) / size for at in range(size)]
    rows = b"".join(b"\0" + b"".join(pixel(x, y) for x in middle) for y in middle)
    header = struct.pack(">IIBBBBB", size, size, 8, 6, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, data) for name, data in chunks)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def color(x: float, y: float) -> bytes:
    """A white envelope on navy; the safe area is the middle half."""
    is_line = _is_envelope(x, y) and not _is_flap(x, y, 0.03)
    return WHITE if is_line else NAVY


def outline(x: float, y: float) -> bytes:
    """White lines on nothing, as outline icons must be."""
    x, y = (x - 0.5) * 0.62 + 0.5, (y - 0.5) * 0.62 + 0.5
    is_inside = 0.23 + 0.04 < x < 0.77 - 0.04 and 0.31 + 0.04 < y < 0.69 - 0.04
    is_line = _is_envelope(x, y) and (not is_inside or _is_flap(x, y, 0.03))
    return WHITE if is_line else CLEAR


def _is_envelope(x: float, y: float) -> bool:
    return 0.23 < x < 0.77 and 0.31 < y < 0.69


def _is_flap(x: float, y: float, width: float) -> bool:
    """The line from the upper corners to the middle."""
    return abs(y - (0.53 - abs(x - 0.5) * 0.22 / 0.27)) < width


def icons() -> dict[str, bytes]:
    return {"color.png": png(192, color), "outline.png": png(32, outline)}


def manifest(app_id: str, domain: str) -> str:
    text = (HERE / "manifest.json").read_text("utf-8")
    filled = text.replace("{{APP_ID}}", app_id).replace("{{DOMAIN}}", domain)
    json.loads(filled)
    return filled


def package(app_id: str, domain: str, target: Path) -> None:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", manifest(app_id, domain))
        for name, picture in icons().items():
            archive.writestr(name, picture)


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit("Usage: python deploy/teams/package.py APP_ID DOMAIN")
    try:
        app_id = str(uuid.UUID(sys.argv[1]))
    except ValueError:
        sys.exit("APP_ID is the id of the bot's registration, like 1b2c3d4e-….")
    for name, picture in icons().items():
        (HERE / name).write_bytes(picture)
    package(app_id, sys.argv[2], HERE / "maildesk.zip")
    print(f"{HERE / 'maildesk.zip'}: upload it in Teams under Apps, Manage your apps")


if __name__ == "__main__":
    main()
