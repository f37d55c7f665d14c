"""The lookout: a mail server that did not answer is asked until it does, so that the end of its
trouble is known although nobody sends."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from desk import troubles
from desk.errors import Misconfigured, Permanent, Transient
from desk.ids import MailboxId
from desk.store import Store
from desk.troubles import Part
from workers.rounds import each

Reach = Callable[[], Awaitable[None]]
"""Raises Transient while a server does not answer, Permanent when it does and lets us not in."""


@dataclass(frozen=True, slots=True)
class Lookout:
    """``servers`` are those of mailboxes whose mail leaves through a server of its own."""

    store: Store
    servers: Mapping[MailboxId, Reach]

    async def __call__(self) -> int:
        """How many are back."""
        away = [
            one.mailbox_id
            for one in await self.store.troubles()
            if one.part is Part.SERVER and one.ended_at is None and one.mailbox_id in self.servers
        ]
        return await each("mail server", away, self._ask)

    async def _ask(self, id: MailboxId) -> bool:
        found: Permanent | None = None
        try:
            await self.servers[id]()
        except Transient:
            return False
        except Permanent as error:
            found = error
        async with self.store.change() as change:
            await troubles.end(change, id, Part.SERVER)
            if isinstance(found, Misconfigured):
                await troubles.note(change, id, found, Part.SENDING)
        return True
