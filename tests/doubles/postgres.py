"""A real PostgreSQL for tests: unprivileged, on a unix socket, a fresh database a test."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.services import need

NOBODY = 65534


def _as_nobody(*command: str) -> list[str]:
    """PostgreSQL refuses to run as root."""
    if os.geteuid():
        return list(command)
    drop = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
    return [*drop, *command]


@contextmanager
def postgres() -> Iterator[Path]:
    """The folder of the server's socket."""
    initdb, control = need("initdb"), need("pg_ctl")
    # short, because a unix socket's path holds 107 characters
    root = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))
    if not os.geteuid():
        os.chown(root, NOBODY, NOBODY)
    data = root / "data"
    run = {"check": True, "capture_output": True, "cwd": root}
    subprocess.run(_as_nobody(initdb, "-D", str(data), "-U", "app", "-A", "trust", "-N"), **run)  # type: ignore[call-overload]
    options = f"-c listen_addresses='' -c unix_socket_directories={root}"
    # what keeps data over a power cut, and tidies up in the background, is nothing to a test
    options += " -c fsync=off -c full_page_writes=off -c synchronous_commit=off -c autovacuum=off"
    start = (control, "-D", str(data), "-w", "-l", str(root / "log"), "-o", options, "start")
    subprocess.run(_as_nobody(*start), check=True, stdout=subprocess.DEVNULL, cwd=root)
    try:
        yield root
    finally:
        stop = (control, "-D", str(data), "-m", "immediate", "stop")
        subprocess.run(_as_nobody(*stop), check=False, stdout=subprocess.DEVNULL, cwd=root)
        shutil.rmtree(root, ignore_errors=True)
