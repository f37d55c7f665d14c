"""OAuth access tokens from a list, and a server that tells which of them is good."""

from __future__ import annotations

from collections.abc import AsyncIterator, Container
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web


@dataclass
class TokenList:
    """``tokens`` in the order in which they are given out; the last one stays."""

    tokens: list[str]
    refused: list[str] = field(default_factory=list)

    async def __call__(self) -> str:
        return self.tokens[0]

    async def renewed(self, refused: str) -> str:
        self.refused.append(refused)
        if len(self.tokens) > 1:
            self.tokens.pop(0)
        return self.tokens[0]


@asynccontextmanager
async def introspection(good: Container[str]) -> AsyncIterator[str]:
    """RFC 7662, as Dovecot asks: the token at the end of the address. ``good`` may change."""

    async def judge(request: web.Request) -> web.Response:
        active = request.query.get("token") in good
        return web.json_response(
            {"active": active, "email": "alice"} if active else {"active": False}
        )

    application = web.Application()
    application.router.add_get("/introspect", judge)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/introspect?token="
    finally:
        await runner.cleanup()
