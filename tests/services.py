"""Real services for tests: found here, or the test is skipped (in CI: fails) with a reason."""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path

import pytest

PLACES = ("/usr/sbin", "/usr/lib/postgresql/15/bin", "/usr/lib/postgresql/16/bin")
_given: set[int] = set()


def find(program: str) -> str | None:
    """The path of a program, also outside of PATH where Debian keeps servers."""
    path = os.pathsep.join([os.environ.get("PATH", ""), *PLACES])
    return shutil.which(program, path=path)


def need(program: str) -> str:
    """The path of a program; without it the test is skipped, and fails in CI."""
    path = find(program)
    if path is None:
        absent(f"{program} is not installed")
    return str(path)


def need_file(path: Path, how: str) -> Path:
    """A file that set-up makes; ``how`` says which command makes it."""
    if not path.exists():
        absent(f"{path.name} is missing: {how}")
    return path


def absent(reason: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def free_port() -> int:
    """Never one that this process was given before: it may not listen there yet."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port not in _given:
            _given.add(port)
            return port
