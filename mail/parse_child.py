"""The process that parses mails; mail.parse_pool starts and feeds it. The kernel ends it when one
mail takes too long, even inside a library. Its messages are those of desk.child."""

from __future__ import annotations

import os
import resource
import signal
import sys
from typing import BinaryIO

import orjson

from mail.parse import parse

OUT_OF_MEMORY = 3
COPIES = 6
"""How often the bytes of a mail may be in memory at once, on top of ``memory``."""


def serve(seconds: str, memory: str) -> None:
    """Answers until its input ends. ``memory`` is in bytes."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides when it is over
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold mail in clear
    try:
        _serve(sys.stdin.buffer, sys.stdout.buffer, float(seconds), int(memory))
    except MemoryError:
        os._exit(OUT_OF_MEMORY)


def _serve(source: BinaryIO, sink: BinaryIO, seconds: float, memory: int) -> None:
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    while length := source.read(4):
        size = int.from_bytes(length)
        wanted = memory + COPIES * size
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_AS, (most, hard))
        raw = source.read(size)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        answer = orjson.dumps(parse(raw))
        signal.setitimer(signal.ITIMER_REAL, 0)
        sink.write(len(answer).to_bytes(4) + answer)
        sink.flush()
