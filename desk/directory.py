"""Reading who works here, which mailboxes and articles there are, and how each is reached."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select

from desk import records
from desk.email import Mailbox
from desk.ids import MailboxId, UserId
from desk.people import User
from desk.places import Network
from desk.reading import Reading
from desk.tables.knowledge import knowledge_base
from desk.tables.mailboxes import mailboxes, sign_ins
from desk.tables.people import conversations, identities, users


class Directory(Reading):
    """Part of the Store."""

    async def mailbox(self, id: MailboxId) -> Mailbox:
        row = await self._one(select(mailboxes).where(mailboxes.c.id == id), f"mailbox {id}")
        return records.mailbox(row)

    async def mailboxes(self) -> list[Mailbox]:
        async with self.read() as connection:
            rows = (await connection.execute(select(mailboxes).order_by(mailboxes.c.id))).mappings()
            return [records.mailbox(row) for row in rows]

    async def article_hashes(self) -> dict[str, str]:
        """What was added to the knowledge base: the SHA-256 by name."""
        query = select(knowledge_base.c.name, knowledge_base.c.sha256)
        async with self.read() as connection:
            return {name: sha256 for name, sha256 in (await connection.execute(query)).all()}

    async def sign_in(self, id: MailboxId) -> tuple[dict[str, Any], int] | None:
        """What Change.save_sign_in kept, and its version."""
        query = select(sign_ins).where(sign_ins.c.mailbox_id == id)
        async with self.read() as connection:
            row = (await connection.execute(query)).mappings().one_or_none()
        if row is None:
            return None
        return records.unseal(self.vault, row["sealed"], f"sign_ins.sealed:{id}"), row["version"]

    async def user(self, id: UserId) -> User:
        row = await self._one(select(users).where(users.c.id == id), f"user {id}")
        return records.user(row, self.vault)

    async def user_by_email(self, email: str) -> User | None:
        query = select(users).where(users.c.email_index == self.vault.blind(email))
        return await self._user(query)

    async def user_by_identity(self, network: Network, external_id: str) -> User | None:
        query = (
            select(users)
            .join(identities)
            .where(identities.c.network == network, identities.c.external_id == external_id)
        )
        return await self._user(query)

    async def users(self) -> list[User]:
        async with self.read() as connection:
            rows = (await connection.execute(select(users).order_by(users.c.id))).mappings()
            return [records.user(row, self.vault) for row in rows]

    async def accounts(self, ids: Sequence[UserId]) -> list[tuple[Network, str]]:
        """Where these people are known to be, each on every network."""
        query = select(identities.c.network, identities.c.external_id)
        query = query.where(identities.c.user_id.in_(ids)).order_by(identities.c.user_id)
        async with self.read() as connection:
            found = (await connection.execute(query)).all()
        return [(Network(network), external) for network, external in found]

    async def conversation_reference(self, network: Network, channel: str) -> str | None:
        """What Change.save_conversation kept."""
        query = select(conversations.c.sealed).where(
            conversations.c.network == network, conversations.c.channel == channel
        )
        async with self.read() as connection:
            sealed = await connection.scalar(query)
        if sealed is None:
            return None
        place = f"conversations.sealed:{network}:{channel}"
        return str(records.unseal(self.vault, sealed, place))

    async def _user(self, query: Any) -> User | None:
        async with self.read() as connection:
            row = (await connection.execute(query)).mappings().one_or_none()
        return records.user(row, self.vault) if row else None
