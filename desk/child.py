"""A child process that answers: messages are bytes behind their length in four bytes, on its
standard input and output. It is ended without a word, at any time."""

from __future__ import annotations

import os
import signal
import sys
from asyncio import StreamReader, StreamWriter, create_subprocess_exec
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Self

ROOT = Path(__file__).resolve().parent.parent
CODE = (
    "import sys; sys.path.insert(0, sys.argv[1]); from importlib import import_module; "
    "import_module(sys.argv[2]).serve(*sys.argv[3:])"
)

NONE: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Child:
    """Its answers come in the order of what was asked. Whoever is cancelled between asking and
    being answered must end it: the answers would be out of step."""

    process: Process
    source: StreamReader
    sink: StreamWriter

    @classmethod
    async def start(cls, module: str, *words: str, variables: Mapping[str, str] = NONE) -> Self:
        """Runs ``serve(*words)`` of a module of ours. Raises OSError."""
        # Standard error is dropped: a traceback or a library's complaint may quote a mail, and no
        # log may hold that.
        process = await create_subprocess_exec(
            *(sys.executable, "-P", "-c", CODE, str(ROOT), module, *words),
            stdin=PIPE,
            stdout=PIPE,
            stderr=DEVNULL,
            env={**os.environ, **variables},
        )
        if process.stdin is None or process.stdout is None:
            raise BrokenPipeError
        return cls(process, process.stdout, process.stdin)

    @property
    def is_alive(self) -> bool:
        return self.process.returncode is None

    async def send(self, message: bytes) -> None:
        """Raises OSError when it is dead."""
        self.sink.write(len(message).to_bytes(4) + message)
        await self.sink.drain()

    async def receive(self) -> bytes:
        """Raises EOFError or OSError when it dies meanwhile."""
        length = await self.source.readexactly(4)
        return await self.source.readexactly(int.from_bytes(length))

    async def stop(self) -> int:
        """Its exit status, negative for the signal that ended it."""
        # Process.kill looks first whether it is dead, and then asyncio never learns how it ended.
        if self.is_alive:
            with suppress(ProcessLookupError):
                os.kill(self.process.pid, signal.SIGKILL)
        return await self.process.wait()
