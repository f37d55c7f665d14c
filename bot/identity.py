"""Who is it that clicks: somebody on a network, found among our users."""

from __future__ import annotations

from dataclasses import dataclass

from desk.people import User
from desk.places import Network
from desk.store import Store

UNLINKED = (
    "I do not know you yet. Ask an administrator to run:  maildesk user add {email} --role agent"
)


@dataclass(frozen=True, slots=True)
class Identity:
    """Links people on networks to users, by their e-mail address as the network vouches for it."""

    store: Store

    async def find(self, network: Network, external_id: str) -> User | None:
        return await self.store.user_by_identity(network, external_id)

    async def link(self, network: Network, external_id: str, email: str) -> User | None:
        """The user with this address, remembered for the next time. None: not one of ours."""
        user = await self.store.user_by_email(email) if email else None
        if user is not None:
            async with self.store.change(user.id) as change:
                await change.link(user.id, network, external_id)
        return user


def unlinked(email: str) -> str:
    """What to tell somebody who is not a user; to them alone."""
    return UNLINKED.format(email=email or "YOUR-ADDRESS")
