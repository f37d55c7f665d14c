"""A person signs in with their browser: authorization code, PKCE, and a redirect to this machine.

RFC 8252 (native applications: the system's browser, a loopback redirect), RFC 7636 (PKCE).
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from desk.errors import Misconfigured, Refused
from desk.ports import Clock
from mail.http import Http
from mail.oauth import Client, SignIn, ask_for_token, sign_in_of

if TYPE_CHECKING:
    from aiohttp import web

DONE = "You are signed in. Close this window and go back to the terminal."
FAILED = "That did not work. Go back to the terminal."
STRANGE = "This is not the sign-in that the terminal waits for. Use the address it shows."


async def sign_in(
    client: Client,
    http: Http,
    clock: Clock,
    show: Callable[[str], None],
    address: str = "",
    seconds: float = 300.0,
) -> SignIn:
    """``show`` is given the address to open; ``address`` is suggested as the account.

    Raises Refused when the person says no or does not come within ``seconds``, Misconfigured when
    the service does not know this application.
    """
    verifier, state = secrets.token_urlsafe(48), secrets.token_urlsafe(24)
    came: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    async with _Listener(state, came, client.service.redirect_host) as listener:
        show(_authorize_url(client, listener.address, state, verifier, address))
        try:
            async with asyncio.timeout(seconds):
                code = await came
        except TimeoutError:
            raise Refused("Nobody signed in; start again") from None
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": listener.address,
            "code_verifier": verifier,
        }
        answer = await ask_for_token(client, http, form, clock)
    if not answer.get("refresh_token"):
        raise Misconfigured(
            f"{client.service.name} gave no lasting sign-in: remove Maildesk from the account's "
            "connected applications and sign in again"
        )
    return sign_in_of(answer, clock.now())


def _authorize_url(client: Client, redirect: str, state: str, verifier: str, address: str) -> str:
    digest = hashlib.sha256(verifier.encode()).digest()
    query = {
        "response_type": "code",
        "client_id": client.id,
        "redirect_uri": redirect,
        "scope": " ".join(client.service.scopes),
        "state": state,
        "code_challenge": base64.urlsafe_b64encode(digest).decode().rstrip("="),
        "code_challenge_method": "S256",
        **dict(client.service.extra),
        **({"login_hint": address} if address else {}),
    }
    return f"{client.service.authorize_url}?{urlencode(query)}"


class _Listener:
    """Hears the browser come back, on a free port of loopback, and nobody else."""

    def __init__(self, state: str, came: asyncio.Future[str], host: str) -> None:
        self._state = state
        self._came = came
        self._host = host
        self.address = ""

    async def __aenter__(self) -> _Listener:
        from aiohttp import web

        app = web.Application()
        app.router.add_get("/", self._hear)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.address = f"http://{self._host}:{self._runner.addresses[0][1]}/"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _hear(self, request: web.Request) -> web.Response:
        from aiohttp import web

        query = request.query
        if not hmac.compare_digest(query.get("state", "").encode(), self._state.encode()):
            return web.Response(text=STRANGE, status=400)
        if self._came.done():
            return web.Response(text=DONE)
        if "code" in query:
            self._came.set_result(query["code"])
            return web.Response(text=DONE)
        said = query.get("error_description") or query.get("error", "no code")
        self._came.set_exception(Refused(f"The sign-in was not granted: {said}"))
        return web.Response(text=FAILED)
