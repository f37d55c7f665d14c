"""What a worker under measurement says: processor time from its first job to its last, and when
each job started, on the clock that all processes of a machine share."""

from __future__ import annotations

import json
import os
import resource
import sys
import time


class Meter:
    """Ends the process when ``jobs`` have started, with the figures on standard output."""

    def __init__(self, jobs: int) -> None:
        self._jobs = jobs
        self._starts: list[tuple[int, float]] = []
        self._cpu = 0.0

    def start(self, id: int) -> None:
        """A job starts."""
        if not self._starts:
            self._cpu = _processor_seconds()
        self._starts.append((id, time.monotonic()))
        if len(self._starts) == self._jobs:
            self.end()

    def end(self) -> None:
        spent = _processor_seconds() - self._cpu
        json.dump({"cpu": spent, "starts": self._starts}, sys.stdout)
        sys.stdout.flush()
        os._exit(0)

    def ready(self) -> None:
        """The worker is about to ask for jobs."""
        print(flush=True)


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
