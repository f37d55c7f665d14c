"""The connection of a request that must not be repeated: whoever asks is asked back once more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mail.provider import Ready

if TYPE_CHECKING:
    from aiohttp import ClientRequest, ClientTimeout, TCPConnector
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace


def final_connector(ready: Ready) -> TCPConnector:
    """Awaits ``ready`` when the connection is there and nothing has gone over it."""
    from aiohttp import TCPConnector

    class FinalConnector(TCPConnector):
        async def connect(
            self,
            req: ClientRequest,
            traces: list[Trace],
            timeout: ClientTimeout,  # noqa: ASYNC109 - aiohttp's own signature
        ) -> Connection:
            connection = await super().connect(req, traces, timeout)
            try:
                await ready()
            except BaseException:
                connection.close()
                raise
            return connection

    return FinalConnector(force_close=True)
