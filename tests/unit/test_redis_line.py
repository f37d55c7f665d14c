"""Addresses of Redis."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest

from desk.errors import Misconfigured
from desk.redis_line import opened_redis, read_service

SECRET = "s3cret"


def test_sentinels_a_service_and_two_logins_are_read() -> None:
    service = read_service(
        urlsplit(
            "rediss+sentinel://desk:p%40ss@one.example,[::1]:5000/mail/3"
            "?sentinel_username=watch&sentinel_password=w%3Aord"
        )
    )
    assert service.sentinels == [("one.example", 26379), ("::1", 5000)]
    assert service.name == "mail"
    assert service.using == {"username": "desk", "password": "p@ss", "ssl": True, "db": 3}
    asked = {key: service.asking[key] for key in ("username", "password", "ssl")}
    assert asked == {"username": "watch", "password": "w:ord", "ssl": True}
    assert "p@ss" not in repr(service)


@pytest.mark.parametrize(
    "url",
    [
        f"http://:{SECRET}@redis:6379",
        f"redis://:{SECRET}@redis:port",
        f"redis+sentinel://:{SECRET}@one:26379",
        f"redis+sentinel://:{SECRET}@/mail/0",
        f"redis+sentinel://:{SECRET}@one:port/mail/0",
        f"redis+sentinel://:{SECRET}@one/mail/first",
        f"redis+sentinel://:{SECRET}@one/mail/0?sentinel_pasword=x",
        f"unix+sentinel://:{SECRET}@one/mail/0",
    ],
)
def test_what_is_no_address_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(Misconfigured, match=re.escape("redis+sentinel://")) as refused:
        opened_redis(url)
    assert SECRET not in str(refused.value)
