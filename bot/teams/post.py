"""Posting to Teams: cards, and words for a conversation or for one person alone."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from datetime import datetime
from zoneinfo import ZoneInfo

from bot.card import Card
from bot.teams.draw import Json, draw_card, draw_text
from bot.teams.read_action import THREAD, Turn, channel_id, root
from bot.teams.wire import TeamsWire
from desk.errors import DeskError, Permanent
from desk.places import Network
from desk.store import Store

PERSON = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
"""Somebody's id in the directory, by which they are known to us."""

ANY = "*"
"""Under this name is kept what all conversations of the organisation have in common."""


@dataclass(frozen=True, slots=True)
class TeamsChat:
    """The Chat of Teams. A channel is a conversation's id, or a channel's link."""

    wire: TeamsWire
    store: Store
    zone: ZoneInfo
    _saved: dict[str, str] = field(default_factory=dict)

    async def post(self, channel: str, card: Card) -> str:
        return await self.wire.post(await self.reference(channel), draw_card(card, self.zone))

    async def find(self, channel: str, mark: str, since: datetime, thread: str = "") -> str:
        """The connector hands no messages out; only Graph does, to who may read whole channels."""
        return ""

    async def update(self, channel: str, message: str, card: Card) -> None:
        await self.wire.update(await self.reference(channel), message, draw_card(card, self.zone))

    async def tell(
        self,
        channel: str,
        text: str,
        thread: str = "",
        *,
        is_broadcast: bool = False,
        mark: str = "",
    ) -> None:
        """A reply below a card is seen by the whole channel anyway."""
        has_threads = channel_id(channel).startswith("19:") and "@thread" in channel_id(channel)
        below = (
            f"{root(channel_id(channel))}{THREAD}{thread}" if thread and has_threads else channel
        )
        await self.wire.post(await self.reference(below), self._drawn(text))

    def _drawn(self, text: str) -> Json:
        return draw_text(text, self.zone, self.store.clock.now())

    async def whisper(self, turn: Turn, text: str, in_public: str) -> None:
        """To this person alone; ``in_public`` is said when there is no way to."""
        words = self._drawn(text)
        if turn.is_private:
            await self.wire.post(turn.reference, words)
            return
        try:
            await self.wire.post((await self.private(turn)).reference, words)
        except DeskError:
            await self.wire.post(turn.reference, self._drawn(in_public))

    async def private(self, turn: Turn) -> Turn:
        """The same, as if it had come from the chat with this person alone."""
        reference = await self.wire.private(turn.reference, turn.account)
        channel = str(reference["conversation"]["id"])
        return replace(turn, channel=channel, is_private=True, reference=reference)

    # -- where conversations are

    async def reference(self, channel: str) -> Json:
        """Teams says it with every activity; a channel that was silent so far is reached like the
        other conversations of the organisation."""
        id = channel_id(channel)
        for name in (id, root(id)):
            found = await self.store.conversation_reference(Network.TEAMS, name)
            if found is not None:
                return _at(json.loads(found), id)
        if PERSON.fullmatch(id):
            return await self._person(id)
        return _at(await self._common(channel), id)

    async def _common(self, channel: str) -> Json:
        common = await self.store.conversation_reference(Network.TEAMS, ANY)
        if common is None:
            raise Permanent(
                f"Maildesk cannot post in Teams channel {channel} yet: add it to the team, then"
                " write  @Maildesk help  there once"
            )
        found: Json = json.loads(common)
        return found

    async def _person(self, id: str) -> Json:
        """The chat with somebody: where they wrote to us, else a new one. Teams takes the id from
        the directory for theirs
        (https://learn.microsoft.com/microsoftteams/platform/bots/how-to/conversations/send-proactive-messages)."""
        found = await self.store.conversation_reference(Network.TEAMS, f"person {id}")
        if found is not None:
            known: Json = json.loads(found)
            return known
        return await self.wire.private(_at(await self._common(id), ""), id)

    async def remember(self, turn: Turn) -> None:
        """Written only when it changed."""
        names = dict.fromkeys((turn.channel, root(turn.channel)))
        texts = {name: json.dumps(_at(turn.reference, name)) for name in names}
        if turn.is_private:
            texts[f"person {turn.person}"] = json.dumps(_at(turn.reference, turn.channel))
        else:
            texts[ANY] = json.dumps(_at(turn.reference, ""))
        changed = {name: text for name, text in texts.items() if self._saved.get(name) != text}
        if not changed:
            return
        async with self.store.change() as change:
            for name, text in changed.items():
                await change.save_conversation(Network.TEAMS, name, text)
        self._saved.update(changed)


def _at(reference: Json, channel: str) -> Json:
    return {**reference, "conversation": {**reference["conversation"], "id": channel}}
