"""The port of an access token, for whoever sends it: mail.oauth.TokenSource is one."""

from __future__ import annotations

from typing import Protocol


class Token(Protocol):
    """Yields OAuth access tokens of one mailbox."""

    async def __call__(self) -> str: ...

    async def renewed(self, refused: str) -> str:
        """Another one than ``refused``, which the server did not take."""
        ...
