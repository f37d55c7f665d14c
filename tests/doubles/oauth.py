"""An OAuth server on loopback: sign-in with PKCE, and refresh tokens that are good once.

After RFC 6749 and RFC 7636. As RFC 9700 §4.14.2 asks of servers, a refresh token that is used a
second time ends the sign-in.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import count

from aiohttp import web

from mail.oauth import Client, Service, SignIn
from tests.doubles.teams import served
from tests.services import free_port

SECRET = "s3cr3t"


@dataclass
class HeldTokens:
    """mail.oauth.Tokens in memory."""

    held: SignIn | None = None

    async def load(self) -> SignIn | None:
        return self.held

    async def save(self, sign_in: SignIn) -> bool:
        stored = self.held.version if self.held else 0
        is_first = sign_in.version == stored
        if is_first:
            self.held = replace(sign_in, version=stored + 1)
        return is_first


@dataclass
class OAuthServer:
    """``stumbles`` are answers to give first: a status and an error code."""

    url: str
    lifetime: int = 3600
    delay: float = 0.0
    rotates: bool = True
    live: dict[str, bool] = field(default_factory=dict)  # refresh tokens: is it still good
    access: list[str] = field(default_factory=list)
    codes: dict[str, tuple[str, str]] = field(default_factory=dict)
    stumbles: deque[tuple[int, str]] = field(default_factory=deque)
    requests: list[dict[str, str]] = field(default_factory=list)
    asked: list[dict[str, str]] = field(default_factory=list)  # of whoever signs in
    running: int = 0
    peak: int = 0

    def __post_init__(self) -> None:
        self._numbers = count(1)
        self._came, self._free = asyncio.Event(), asyncio.Event()
        self._free.set()

    def hold(self) -> None:
        """Answer nobody who asks for a token, until ``release``."""
        self._came.clear()
        self._free.clear()

    def release(self) -> None:
        self._free.set()

    async def until_asked(self) -> None:
        """Somebody has asked for a token since ``hold``."""
        await self._came.wait()

    @property
    def client(self) -> Client:
        service = Service("Example", f"{self.url}/authorize", f"{self.url}/token", ("mail",))
        return Client(service, "maildesk", SECRET)

    def refresh_token(self) -> str:
        token = f"refresh-{next(self._numbers)}"
        self.live[token] = True
        return token

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/authorize", self._authorize), web.post("/token", self._token)]

    async def _authorize(self, request: web.Request) -> web.Response:
        """Whoever comes is signed in at once, and sent back."""
        query = request.query
        self.asked.append(dict(query))
        assert (query["response_type"], query["code_challenge_method"]) == ("code", "S256")
        code = f"code-{next(self._numbers)}"
        self.codes[code] = (query["code_challenge"], query["redirect_uri"])
        raise web.HTTPFound(f"{query['redirect_uri']}?code={code}&state={query['state']}")

    async def _token(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.requests.append(form)
        self.running += 1
        self.peak = max(self.peak, self.running)
        self._came.set()
        await self._free.wait()
        await asyncio.sleep(self.delay)
        self.running -= 1
        if self.stumbles:
            status, error = self.stumbles.popleft()
            return web.json_response({"error": error}, status=status)
        if (form.get("client_id"), form.get("client_secret")) != ("maildesk", SECRET):
            return web.json_response({"error": "invalid_client"}, status=401)
        if form["grant_type"] == "authorization_code":
            is_good = self._knows_code(form)
        else:
            is_good = self._spend(form["refresh_token"])
        if not is_good:
            return web.json_response({"error": "invalid_grant"}, status=400)
        return web.json_response(self._tokens(form["grant_type"] == "authorization_code"))

    def _knows_code(self, form: dict[str, str]) -> bool:
        challenge, redirect = self.codes.pop(form["code"], ("", ""))
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        proof = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        return (proof, form["redirect_uri"]) == (challenge, redirect)

    def _spend(self, token: str) -> bool:
        if not self.live.get(token):
            self.live = dict.fromkeys(self.live, False)  # somebody has a copy
            return False
        self.live[token] = not self.rotates
        return True

    def _tokens(self, is_first: bool) -> dict[str, object]:
        self.access.append(f"access-{next(self._numbers)}")
        fresh = {"refresh_token": self.refresh_token()} if self.rotates or is_first else {}
        token = {"access_token": self.access[-1], "token_type": "Bearer"}
        return {**token, "expires_in": self.lifetime, **fresh}


@asynccontextmanager
async def oauth_server() -> AsyncIterator[OAuthServer]:
    port = free_port()
    server = OAuthServer(f"http://127.0.0.1:{port}")
    async with served(server.routes(), port):
        yield server
