"""The server that publishes the keys of Microsoft's tokens, with keys of our own."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from tests.doubles.teams import served
from tests.services import free_port

APP = "20000000-0000-0000-0000-000000000002"
ISSUER = "https://api.botframework.com"


def new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@dataclass
class OpenId:
    url: str
    keys: dict[str, rsa.RSAPrivateKey] = field(default_factory=lambda: {"key-1": new_key()})
    reads: int = 0
    is_away: bool = False

    def token(self, service: str, kid: str, changes: Mapping[str, object]) -> str:
        """A token as Teams' server sends it; ``changes`` are what is wrong with it."""
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "aud": APP,
            "exp": now + 3600,
            "nbf": now - 60,
            "serviceurl": service,
            **changes,
        }
        key = self.keys.get(kid) or new_key()
        return jwt.encode(claims, key, "RS256", {"kid": kid})

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/openid", self._about), web.get("/keys", self._keys)]

    async def _about(self, _: web.Request) -> web.Response:
        self.reads += 1
        if self.is_away:
            return web.Response(status=502)
        return web.json_response({"issuer": ISSUER, "jwks_uri": f"{self.url}/keys"})

    async def _keys(self, _: web.Request) -> web.Response:
        return web.json_response({"keys": [_public(id, key) for id, key in self.keys.items()]})


def _public(id: str, key: rsa.RSAPrivateKey) -> dict[str, Any]:
    public = json.loads(RSAAlgorithm.to_jwk(key.public_key()))
    return {**public, "kid": id, "use": "sig", "endorsements": ["msteams"]}


@asynccontextmanager
async def openid() -> AsyncIterator[OpenId]:
    port = free_port()
    server = OpenId(f"http://127.0.0.1:{port}")
    async with served(server.routes(), port):
        yield server
