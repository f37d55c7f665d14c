"""Sign-ins in the desk's records, sealed; a renewal is compare-and-set, so one process wins."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from desk.ids import MailboxId
from desk.store import Store
from mail.oauth import SignIn


@dataclass(frozen=True, slots=True)
class StoredTokens:
    """mail.oauth.Tokens of one mailbox."""

    store: Store
    mailbox: MailboxId

    async def load(self) -> SignIn | None:
        found = await self.store.sign_in(self.mailbox)
        if found is None:
            return None
        value, version = found
        if "refresh" not in value:  # a password is kept there
            return SignIn(refresh="", is_ended=True, version=version)
        until = value["renewing_until"]
        return SignIn(
            refresh=value["refresh"],
            access=value["access"],
            expires_at=datetime.fromisoformat(value["expires_at"]),
            renewing_until=datetime.fromisoformat(until) if until else None,
            is_ended=value["is_ended"],
            version=version,
        )

    async def save(self, sign_in: SignIn) -> bool:
        value = {
            "refresh": sign_in.refresh,
            "access": sign_in.access,
            "expires_at": sign_in.expires_at.isoformat(),
            "renewing_until": sign_in.renewing_until and sign_in.renewing_until.isoformat(),
            "is_ended": sign_in.is_ended,
        }
        async with self.store.change() as change:
            return await change.save_sign_in(self.mailbox, value, sign_in.version)

    async def replace(self, sign_in: SignIn) -> None:
        """A person signed in: theirs counts, whatever was stored."""
        while True:
            stored = await self.load()
            version = stored.version if stored else 0
            if await self.save(replace(sign_in, version=version)):
                return


@dataclass(frozen=True, slots=True)
class StoredPassword:
    """The password of a mailbox that is not signed in with a browser, sealed in the same place."""

    store: Store
    mailbox: MailboxId

    async def load(self) -> str:
        """Empty when none is kept."""
        found = await self.store.sign_in(self.mailbox)
        return str(found[0].get("password", "")) if found else ""

    async def replace(self, password: str) -> None:
        while True:
            stored = await self.store.sign_in(self.mailbox)
            async with self.store.change() as change:
                version = stored[1] if stored else 0
                if await change.save_sign_in(self.mailbox, {"password": password}, version):
                    return
