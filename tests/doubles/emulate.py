"""npm ``emulate``: a vendor's API on loopback, with its data in memory."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.services import free_port, need, need_file

ROOT = Path(__file__).parent.parent.parent


@contextmanager
def emulator(folder: Path, service: str, seed: dict[str, Any]) -> Iterator[str]:
    """Its address while it runs."""
    program = need_file(ROOT / "node_modules/emulate/dist/index.js", "run npm install")
    (folder / "seed.yaml").write_text(yaml.safe_dump(seed))
    port = free_port()
    command = [need("node"), str(program), "start", "--service", service, "--port", str(port)]
    with (folder / "log").open("wb") as log:
        child = subprocess.Popen(
            [*command, "--seed", str(folder / "seed.yaml")], stdout=log, stderr=log, cwd=folder
        )
    try:
        _wait(port, child, folder / "log")
        yield f"http://127.0.0.1:{port}"
    finally:
        child.terminate()
        child.wait()


def _wait(port: int, child: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > deadline or child.poll() is not None:
                pytest.fail(log.read_text()[-500:])
            time.sleep(0.05)
