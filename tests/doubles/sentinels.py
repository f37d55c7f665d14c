"""A real Redis with a replica, and three sentinels that choose who is the master."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from redis import Redis
from redis.exceptions import ConnectionError as Away

from tests.doubles.redis import RealRedis
from tests.services import free_port, need

SERVICE = "desk"
DOWN_AFTER = 0.5
"""Seconds of silence after which a sentinel holds a server to be down."""


class Watched:
    """``url`` is what an operator would set."""

    def __init__(self, servers: list[RealRedis], ports: list[int]) -> None:
        self._servers, self._ports = servers, ports
        hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
        self.url = f"redis+sentinel://{hosts}/{SERVICE}/0"

    @property
    def master(self) -> RealRedis:
        """As the first sentinel knows it."""
        with Redis(port=self._ports[0]) as sentinel:
            _, port = sentinel.sentinel_get_master_addr_by_name(SERVICE)
        return next(server for server in self._servers if server.port == int(port))

    def demote(self) -> None:
        """An operator asks for a failover."""
        with Redis(port=self._ports[0]) as sentinel:
            sentinel.sentinel_failover(SERVICE)

    def is_ready(self) -> bool:
        """All sentinels know each other and the replica, which has what the master has."""
        for port in self._ports:
            try:
                with Redis(port=port) as sentinel:
                    state = sentinel.sentinel_master(SERVICE)
            except Away:
                return False
            if (state["num-other-sentinels"], state["num-slaves"]) != (len(self._ports) - 1, 1):
                return False
        return any(b"master_link_status:up" in s.told("INFO replication") for s in self._servers)


@contextmanager
def watched() -> Iterator[Watched]:
    with ExitStack() as stack:
        servers = []
        for _ in range(2):
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="redis")))
            server = RealRedis(folder, port=free_port())
            server.start()
            stack.callback(server.kill)
            servers.append(server)
        servers[1].ask(f"REPLICAOF 127.0.0.1 {servers[0].port}")
        ports = [free_port() for _ in range(3)]
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sentinel")))
        for port in ports:
            _start(stack, folder, port, servers[0].port)
        found = Watched(servers, ports)
        deadline = time.monotonic() + 20
        while not found.is_ready():
            assert time.monotonic() < deadline, "the sentinels do not come together"
            time.sleep(0.1)
        yield found


def _start(stack: ExitStack, folder: Path, port: int, master: int) -> None:
    file = folder / f"{port}.conf"
    file.write_text(
        f"port {port}\nbind 127.0.0.1\ndir {folder}\nlogfile {folder / str(port)}.log\n"
        f"sentinel monitor {SERVICE} 127.0.0.1 {master} 2\n"
        f"sentinel down-after-milliseconds {SERVICE} {round(DOWN_AFTER * 1000)}\n"
        f"sentinel failover-timeout {SERVICE} 4000\n"
    )
    process = subprocess.Popen([need("redis-server"), str(file), "--sentinel"])
    stack.callback(process.wait)
    stack.callback(process.kill)
