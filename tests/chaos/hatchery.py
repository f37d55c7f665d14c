"""Hatches workers by fork, so that a new one costs milliseconds and not the imports once more.

``python -m tests.chaos.hatchery`` reads plans as JSON lines and answers with process ids.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Mapping
from dataclasses import asdict
from typing import Self

from tests.chaos.worker import Plan, run

_PR_SET_PDEATHSIG = 1  # prctl(2)


class Hatchery:
    """``with Hatchery() as hatchery: pid = hatchery.hatch(plan)``; all die at its end."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._environment = environment

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "tests.chaos.hatchery"]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            env=self._environment,
        )
        self.pids: list[int] = []
        return self

    def __exit__(self, *_: object) -> None:
        for pid in self.pids:
            self.kill(pid)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def hatch(self, plan: Plan) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asdict(plan)) + "\n")
        self.pids.append(int(self._process.stdout.readline()))
        return self.pids[-1]

    @property
    def alive(self) -> list[int]:
        return [pid for pid in self.pids if lives(pid)]

    def kill(self, pid: int, number: int = signal.SIGKILL) -> None:
        if lives(pid):
            os.kill(pid, number)

    def ended(self, pid: int, seconds: float) -> bool:
        """Wait until a worker has ended, at most so long."""
        deadline = time.monotonic() + seconds
        while lives(pid) and time.monotonic() < deadline:
            time.sleep(0.005)
        return not lives(pid)


def lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _main() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel buries the dead (wait(2))
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            os.close(0)
            try:
                run(Plan(**json.loads(line)))
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        print(pid, flush=True)


if __name__ == "__main__":
    _main()
