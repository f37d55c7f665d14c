"""A real redis-server on a unix socket for tests: one a session, emptied before each test."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Self

import pytest
import pytest_asyncio

from tests.services import need
from workers.queue import RedisQueue


class RealRedis:
    """A redis-server child that a test may kill and start again; its AOF stays in ``folder``."""

    def __init__(
        self, folder: Path, environment: Mapping[str, str] | None = None, port: int = 0
    ) -> None:
        self._folder, self._environment, self.port = folder, environment, port
        self._child: subprocess.Popen[bytes] | None = None
        self.socket = folder / "s"
        self.url = f"unix://{self.socket}"

    def start(self) -> None:
        options = [
            "--port",
            str(self.port),
            "--unixsocket",
            str(self.socket),
            "--dir",
            str(self._folder),
        ]
        options += ["--appendonly", "yes", "--save", "", "--loglevel", "warning"]
        # what was answered is written: with everysec, Redis keeps it for up to two seconds while
        # the disk is busy, and loses it when it is killed (aof.c, flushAppendOnlyFile)
        options += ["--appendfsync", "no"]
        with (self._folder / "log").open("ab") as log:
            self._child = subprocess.Popen(
                [need("redis-server"), *options], stdout=log, stderr=log, env=self._environment
            )
        deadline = time.monotonic() + 20  # a busy machine
        while self.ask("PING") != b"+PONG":
            if time.monotonic() > deadline or self._child.poll() is not None:
                pytest.fail((self._folder / "log").read_text()[-500:])
            time.sleep(0.005)

    def ask(self, command: str) -> bytes:
        """The first line of the answer; empty when nobody answers."""
        return self.told(command).partition(b"\r\n")[0]

    def told(self, command: str) -> bytes:
        """The answer as it comes; empty when nobody answers."""
        try:
            with socket.socket(socket.AF_UNIX) as line:
                line.settimeout(1)
                line.connect(str(self.socket))
                line.sendall(command.encode() + b"\r\n")
                return line.recv(4096)
        except OSError:
            return b""

    def hang(self) -> None:
        """It takes connections and commands, and answers nothing."""
        if self._child is not None:
            self._child.send_signal(signal.SIGSTOP)

    def kill(self) -> None:
        """SIGKILL: what the OOM killer does."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            self._child = None


class Deaf:
    """A line to Redis that, while it ``cuts``, breaks before the answer; the command has passed,
    unless it ``swallows`` it."""

    def __init__(self, server: Path) -> None:
        self._server, self._path = server, server.with_name("deaf")
        self.url = f"unix://{self._path}"
        self.cuts = self.swallows = False

    async def __aenter__(self) -> Self:
        self._door = await asyncio.start_unix_server(self._serve, self._path)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._door.close()
        await self._door.wait_closed()

    async def _serve(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        far, out = await asyncio.open_unix_connection(self._server)
        with suppress(ConnectionError):
            while data := await near.read(65536):
                if self.cuts and self.swallows:
                    break
                out.write(data)
                answer = await far.read(65536)
                if self.cuts:
                    break
                back.write(answer)
        out.close()
        back.close()


class Switch:
    """An address behind which another Redis can be put; lines that are open stay where they are."""

    def __init__(self, server: RealRedis) -> None:
        self._server, self._path = server, server.socket.with_name("switch")
        self.url = f"unix://{self._path}"

    def turn(self, server: RealRedis) -> None:
        self._server = server

    async def __aenter__(self) -> Self:
        self._lines: set[asyncio.Task[None]] = set()
        self._door = await asyncio.start_unix_server(self._serve, self._path)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._door.close()
        for line in self._lines:
            line.cancel()
        if self._lines:
            await asyncio.wait(self._lines)
        await self._door.wait_closed()

    def _serve(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        line = asyncio.create_task(self._join(near, back))
        self._lines.add(line)
        line.add_done_callback(self._lines.discard)

    async def _join(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        outs = [back]
        try:
            far, out = await asyncio.open_unix_connection(self._server.socket)
            outs.append(out)
            async with asyncio.TaskGroup() as group:
                group.create_task(_pumped(near, out))
                group.create_task(_pumped(far, back))
        except OSError:
            pass
        finally:
            for out in outs:
                out.close()


async def _pumped(near: asyncio.StreamReader, out: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await near.read(65536):
            out.write(data)
    out.close()  # and with it the way back


@pytest.fixture(scope="session")
def redis_session() -> Iterator[RealRedis]:
    # not tmp_path: a socket's path must stay below 108 bytes (unix(7))
    with tempfile.TemporaryDirectory(prefix="redis") as folder:
        server = RealRedis(Path(folder))
        server.start()
        yield server
        server.kill()


@pytest.fixture
def real_redis(redis_session: RealRedis) -> RealRedis:
    """Runs and is empty when the test starts, whatever the one before did to it."""
    if redis_session.ask("PING") != b"+PONG":
        redis_session.kill()
        redis_session.start()
    while redis_session.ask("FLUSHALL") != b"+OK":  # what is busy with its file answers later
        time.sleep(0.05)
    return redis_session


@pytest_asyncio.fixture
async def queue(real_redis: RealRedis) -> AsyncIterator[RedisQueue]:
    async with RedisQueue(real_redis.url) as queue:
        yield queue
