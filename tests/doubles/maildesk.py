"""The real thing as a child process: ``app.py run`` on the samples, in a folder of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tests.services import need, need_file

ROOT = Path(__file__).parent.parent.parent


@dataclass
class Maildesk:
    """A running Maildesk; ``address`` is the one it printed, with its token."""

    process: asyncio.subprocess.Process
    data: Path
    address: str

    @property
    def port(self) -> int:
        return urlsplit(self.address).port or 0

    @property
    def sent(self) -> list[Path]:
        folder = self.data / "mail" / "support" / ".Sent"
        return sorted(file for name in ("cur", "new") for file in (folder / name).glob("*"))

    async def kill(self) -> None:
        """SIGKILL: as if the machine had lost its power."""
        self.process.kill()
        await self.process.wait()

    async def stop(self) -> int | None:
        """Ctrl-C; its exit code, or None when it does not end within five seconds."""
        self.process.send_signal(signal.SIGINT)
        try:
            async with asyncio.timeout(5):
                return await self.process.wait()
        except TimeoutError:
            self.process.kill()
            await self.process.wait()
            return None


def environment(data: Path, **more: str) -> dict[str, str]:
    """Settings of this machine's own must not matter."""
    config = data.with_suffix(".toml")
    config.parent.mkdir(parents=True, exist_ok=True)
    config.touch()
    return {**os.environ, "MAILDESK_DATA": str(data), "MAILDESK_CONFIG": str(config), **more}


@asynccontextmanager
async def running(data: Path, port: int = 0, **more: str) -> AsyncIterator[Maildesk]:
    """Started and answering; killed at the end if it still runs."""
    need("redis-server")
    need_file(ROOT / "build" / "encoder" / "manifest.json", "make setup")
    need_file(ROOT / "node_modules" / "adaptivecards", "make setup")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "app.py",
        "run",
        "--port",
        str(port),
        cwd=ROOT,
        env=environment(data, **more),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield Maildesk(process, data, await _address(process))
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _address(process: asyncio.subprocess.Process) -> str:
    if process.stdout is None:
        raise RuntimeError("its output is piped")
    said = ""
    async with asyncio.timeout(30):
        while line := (await process.stdout.readline()).decode():
            said += line
            if "http://" in line:
                return "http://" + line.split("http://")[1].split()[0]
    raise AssertionError(f"Maildesk ended without saying where it is:\n{said}")
