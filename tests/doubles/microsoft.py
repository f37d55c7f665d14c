"""The sign-in of Microsoft's identity platform: "OAuth 2.0 authorization code flow" and "Refresh
tokens" (learn.microsoft.com/entra/identity-platform). Refresh tokens are replaced at each use."""

from __future__ import annotations

import base64
import hashlib
import secrets
from dataclasses import dataclass, field

from aiohttp import web


@dataclass
class Identity:
    """Everybody agrees at once. ``access`` are the tokens that are good now; calling it gives one
    to whoever needs no sign-in of its own."""

    access: set[str] = field(default_factory=set)
    refresh: str = "refresh-0"
    refreshed: int = 0
    codes: dict[str, str] = field(default_factory=dict)  # the challenge of each

    async def __call__(self) -> str:
        return next(iter(self.access), "") or self._new()

    async def renewed(self, refused: str) -> str:
        return await self()

    def expire(self) -> None:
        self.access.clear()

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/{tenant}/oauth2/v2.0/authorize", self._authorize),
            web.post("/{tenant}/oauth2/v2.0/token", self._token),
        ]

    def _new(self) -> str:
        access = f"access-{secrets.token_hex(8)}"
        self.access.add(access)
        return access

    async def _authorize(self, request: web.Request) -> web.Response:
        """A person who agrees at once."""
        code = secrets.token_urlsafe(12)
        self.codes[code] = request.query["code_challenge"]
        back = f"{request.query['redirect_uri']}?code={code}&state={request.query['state']}"
        raise web.HTTPFound(back)

    async def _token(self, request: web.Request) -> web.Response:
        form = await request.post()
        kind = form.get("grant_type")
        if kind == "authorization_code":
            proof = hashlib.sha256(str(form.get("code_verifier", "")).encode()).digest()
            challenge = base64.urlsafe_b64encode(proof).decode().rstrip("=")
            is_good = self.codes.pop(str(form.get("code")), "") == challenge
        else:
            is_good = kind == "refresh_token" and form.get("refresh_token") == self.refresh
        if not is_good:
            said = "AADSTS70000: The provided grant is invalid or has expired."
            record = {"error": "invalid_grant", "error_description": said}
            return web.json_response(record, status=400)
        self.refreshed += 1
        self.refresh = f"refresh-{self.refreshed}"
        return web.json_response(
            {
                "token_type": "Bearer",
                "scope": "Mail.ReadWrite Mail.Send offline_access",
                "expires_in": 3599,
                "access_token": self._new(),
                "refresh_token": self.refresh,
            }
        )
