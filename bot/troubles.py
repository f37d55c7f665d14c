"""Telling managers that a mailbox cannot be read or sent from, or can again; serves the step
``warn``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog

from bot.chat import Channel
from bot.words import clean, clip
from desk import troubles
from desk.email import Mailbox
from desk.errors import DeskError, Transient
from desk.ids import MailboxId
from desk.people import Role
from desk.places import Network
from desk.standing import when
from desk.store import Store
from desk.troubles import Part, Trouble

log = structlog.get_logger()


class Teller(Protocol):
    async def tell(
        self, channel: str, text: str, thread: str = "", *, is_broadcast: bool = False
    ) -> None: ...


@dataclass(frozen=True, slots=True)
class Warnings:
    """``managers`` are channels; where there is none, each manager is told. A process that dies
    between telling and noting it tells again."""

    store: Store
    chats: Mapping[Network, Teller]
    managers: Sequence[Channel]

    async def __call__(self, id: int) -> None:
        """Where it cannot be said is logged; when it can be said nowhere, it is tried again."""
        for trouble in await self.store.troubles(MailboxId(id)):
            if trouble.is_to_be_told(self.store.clock.now()):
                await self._warn(trouble)

    async def _warn(self, trouble: Trouble) -> None:
        text = sentence(await self.store.mailbox(trouble.mailbox_id), trouble)
        targets = await self._targets()
        errors = [error for one in targets if (error := await self._tell(*one, text)) is not None]
        if targets and len(errors) == len(targets):
            raise next((error for error in errors if isinstance(error, Transient)), errors[0])
        async with self.store.change() as change:
            await troubles.record_told(change, trouble, len(targets) - len(errors))

    async def _targets(self) -> list[tuple[Network, str]]:
        channels = [(one.network, one.channel) for one in self.managers]
        reachable = [one for one in channels if one[0] in self.chats]
        if reachable:
            return reachable
        people = [u for u in await self.store.users() if u.role.rank >= Role.MANAGER.rank]
        accounts = await self.store.accounts([user.id for user in people])
        return [one for one in accounts if one[0] in self.chats]

    async def _tell(self, network: Network, channel: str, text: str) -> DeskError | None:
        try:
            await self.chats[network].tell(channel, text)
        except DeskError as error:
            log.warning("not warned", network=network, error=type(error).__name__)
            return error
        return None


ENDS = {
    Part.READING: ("is read", "It could not be read"),
    Part.SENDING: ("sends", "It could not send"),
    Part.SERVER: ("reaches its mail server", "It did not answer"),
}
"""What works again, and what did not."""


def sentence(mailbox: Mailbox, trouble: Trouble) -> str:
    name = f"The mailbox {clean(mailbox.name)} ({clean(mailbox.address)})"
    is_reading, since = trouble.part is Part.READING, when(trouble.since)
    if trouble.ended_at is not None:
        works, before = ENDS[trouble.part]
        return f"{name} {works} again since {when(trouble.ended_at)}. {before} from {since} on."
    why = clean(clip(trouble.problem, 300)) or "it does not say why"
    return f"{name} cannot {'be read' if is_reading else 'send'} since {since}: {why}"
