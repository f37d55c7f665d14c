"""The port to a network that cards are posted to."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

import structlog

from bot.card import Card
from desk.errors import Permanent
from desk.places import Network

log = structlog.get_logger()


class Channel(Protocol):
    """Where managers are told."""

    @property
    def network(self) -> Network: ...
    @property
    def channel(self) -> str: ...


class Gone(Permanent):
    """The message that should be updated no longer exists; it is posted anew."""


class Chat(Protocol):
    """A network that cards are posted to. Errors are Transient (Throttled) or Permanent."""

    async def post(self, channel: str, card: Card) -> str:
        """Post a card; the message's id on this network, to update it by."""
        ...

    async def find(self, channel: str, mark: str, since: datetime, thread: str = "") -> str:
        """The message with this mark that was posted since then, in the channel or below the
        message ``thread``; "" when there is none, or when the network does not let us look."""
        ...

    async def update(self, channel: str, message: str, card: Card) -> None:
        """Draw a card anew where it is. Raises Gone when the message was deleted."""
        ...

    async def tell(
        self,
        channel: str,
        text: str,
        thread: str = "",
        *,
        is_broadcast: bool = False,
        mark: str = "",
    ) -> None:
        """Say something without a card, below the message ``thread`` if there is one; there a
        network may show it to the whole channel, too. ``mark`` is what ``find`` finds it by."""
        ...


async def looked_for(
    chat: Chat, network: Network, channel: str, mark: str, since: datetime, thread: str = ""
) -> str:
    """What was posted by somebody who died before it was noted; "" also when nobody may look."""
    try:
        return await chat.find(channel, mark, since, thread)
    except Permanent as error:
        log.warning("messages not looked through", network=network, error=str(error))
        return ""
