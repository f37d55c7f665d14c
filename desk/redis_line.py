"""How Redis is reached: at its address, or where sentinels say that the master is now.

``redis+sentinel://user:password@sentinel1:26379,sentinel2:26379/service/0?sentinel_password=…``;
``rediss+sentinel`` uses TLS to both, and sentinels that need a name have ``sentinel_username``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from redis.asyncio import Redis
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool

from desk.errors import Misconfigured

R = TypeVar("R", bound=Redis)

SENTINEL_PORT = 26379
SENTINEL_PATIENCE = 0.5
"""Seconds for an answer of one sentinel: three of them fit into what one question may take."""

WRONG = (
    "The setting redis is no address of Redis; write redis://:password@host:6379/0, or for"
    " sentinels redis+sentinel://:password@host1:26379,host2:26379/service/0"
)


@dataclass(frozen=True, slots=True, repr=False)
class Service:
    """What sentinels watch, and how to ask them and it; never printed, for it holds passwords."""

    sentinels: list[tuple[str, int]]
    name: str
    asking: dict[str, Any]
    using: dict[str, Any]


def opened_redis(url: str, **options: Any) -> Redis:
    """A client that connects when it is used. Raises Misconfigured for what is no address."""
    return opened_as(Redis, url, **options)


def opened_as(kind: type[R], url: str, **options: Any) -> R:
    """The same, of a class of its own."""
    try:
        given = urlsplit(url)
        if not given.scheme.endswith("+sentinel"):
            plain: R = kind.from_url(url, **options)
            return plain
        service = read_service(given)
    except ValueError:  # its words may quote a password
        raise Misconfigured(WRONG) from None
    sentinels = Sentinel(  # type: ignore[no-untyped-call]
        service.sentinels, sentinel_kwargs=service.asking, **service.using
    )
    client: R = sentinels.master_for(service.name, redis_class=kind, **options)
    return client


async def close_redis(client: Redis) -> None:
    """With its lines to sentinels, which the library leaves open. For good: what arq leaves running
    behind must not connect again."""
    try:
        await _end(client)
    finally:
        if isinstance(client.connection_pool, SentinelConnectionPool):
            for sentinel in client.connection_pool.sentinel_manager.sentinels:
                await _end(sentinel)


async def _end(client: Redis) -> None:
    try:
        await client.aclose(close_connection_pool=True)
    finally:
        client.connection_pool.max_connections = 0
        client.connection_pool.reset()  # type: ignore[no-untyped-call]


def read_service(given: SplitResult) -> Service:
    """Raises ValueError.

    >>> read_service(urlsplit("redis+sentinel://:secret@a,b:5000/desk/2")).sentinels
    [('a', 26379), ('b', 5000)]
    """
    if given.scheme not in ("redis+sentinel", "rediss+sentinel"):
        raise ValueError("another scheme")
    secrets, _, hosts = given.netloc.rpartition("@")
    user, _, password = secrets.partition(":")
    name, _, database = given.path.strip("/").partition("/")
    asked = {key: values[-1] for key, values in parse_qs(given.query).items()}
    if not name or asked.keys() - {"sentinel_username", "sentinel_password"}:
        raise ValueError("no service, or an unknown option")
    is_encrypted = given.scheme == "rediss+sentinel"
    asking = {
        **_login(asked.get("sentinel_username", ""), asked.get("sentinel_password", "")),
        "ssl": is_encrypted,
        "socket_timeout": SENTINEL_PATIENCE,
        "socket_connect_timeout": SENTINEL_PATIENCE,
    }
    using = {
        **_login(unquote(user), unquote(password)),
        "ssl": is_encrypted,
        "db": int(database or 0),
    }
    return Service([_address(host) for host in hosts.split(",")], name, asking, using)


def _login(user: str, password: str) -> dict[str, str]:
    return {**({"username": user} if user else {}), **({"password": password} if password else {})}


def _address(text: str) -> tuple[str, int]:
    found = urlsplit(f"//{text}")
    if not found.hostname:
        raise ValueError("no host")
    return found.hostname, found.port or SENTINEL_PORT
