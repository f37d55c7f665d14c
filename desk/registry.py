"""What is kept beside tickets: people, mailboxes, articles, and where cards are shown."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from sqlalchemy import delete, select, update

from desk import records
from desk.email import Mailbox
from desk.errors import Refused
from desk.ids import MailboxId, TicketId, UserId
from desk.people import Role, User
from desk.places import Network, Place
from desk.rows import Rows
from desk.sla.rungs import Escalation
from desk.tables.knowledge import knowledge_base
from desk.tables.mailboxes import mailboxes, sign_ins
from desk.tables.people import conversations, identities, users
from desk.tables.sla import alerts, escalations
from desk.tables.tickets import action_keys, cards, tickets

MAX_KEY, MAX_TEAM = 255, 64


class Registry(Rows):
    """Writes that no table of moves orders."""

    async def first_time(self, key: str) -> bool:
        """False when an action with this key was taken already (networks deliver twice)."""
        is_plain = len(key) <= MAX_KEY and key.isprintable()
        kept = key if is_plain else hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()
        row = {"key": kept, "at": self.now}
        return await self.insert_or_ignore(action_keys, row, ["key"])

    async def add_user(self, email: str, name: str, role: Role, team: str = "") -> User:
        if len(team) > MAX_TEAM:
            raise Refused(f"The name of a team may have {MAX_TEAM} letters at most")
        row = {
            "email_index": self.vault.blind(email),
            "role": role.value,
            "team": team,
            "created_at": self.now,
        }
        query = select(users.c.id).where(users.c.email_index == row["email_index"])
        if (await self.connection.execute(query)).first():
            raise Refused(f"{email} is a user already")
        id = UserId(await self.insert_sealed(users, row, {"email": email, "name": name}))
        self.audit("add_user", f"user:{id}", None, {"role": role.value, "team": team})
        return User(id, email, name, role, team)

    async def user(self, id: UserId) -> User:
        return records.user(await self.row(users, id), self.vault)

    async def link(self, user: UserId, network: Network, external_id: str) -> None:
        """Somebody on a network is this user."""
        row = {"network": network.value, "external_id": external_id, "user_id": user}
        await self.upsert(identities, row, ["network", "external_id"], ["user_id"])
        self.audit("link", f"user:{user}", None, {"network": network.value})

    async def save_conversation(self, network: Network, channel: str, reference: str) -> None:
        """What a network needs to post to a channel by itself."""
        sealed = records.seal(self.vault, reference, f"conversations.sealed:{network}:{channel}")
        row = {"network": network.value, "channel": channel, "sealed": sealed}
        await self.upsert(conversations, row, ["network", "channel"], ["sealed"])

    async def mailbox(self, id: MailboxId) -> Mailbox:
        """Read once: what a change asks of it stays the same."""
        if id not in self._mailboxes:
            self._mailboxes[id] = records.mailbox(await self.row(mailboxes, id))
        return self._mailboxes[id]

    async def add_mailbox(self, name: str, address: str, kind: str, team: str = "") -> Mailbox:
        """The mailbox of this name, made or brought up to date."""
        row = {"name": name, "address": address, "kind": kind, "team": team}
        full = {**row, "checkpoint": "", "problem": ""}
        await self.upsert(mailboxes, full, ["name"], ["address", "kind", "team"])
        query = select(mailboxes).where(mailboxes.c.name == name)
        made = records.mailbox((await self.connection.execute(query)).mappings().one())
        self._mailboxes[made.id] = made
        return made

    async def save_checkpoint(self, id: MailboxId, checkpoint: str, problem: str = "") -> None:
        self._mailboxes.pop(id, None)
        await self.connection.execute(
            update(mailboxes)
            .where(mailboxes.c.id == id)
            .values(checkpoint=checkpoint, problem=problem)
        )

    async def save_sign_in(self, id: MailboxId, value: Mapping[str, object], version: int) -> bool:
        """What opens a mailbox. False when the stored one has not ``version`` (0: there is none);
        afterwards it has one higher."""
        sealed = records.seal(self.vault, value, f"sign_ins.sealed:{id}")
        if version == 0:
            row = {"mailbox_id": id, "version": 1, "sealed": sealed}
            return await self.insert_or_ignore(sign_ins, row, ["mailbox_id"])
        result = await self.connection.execute(
            update(sign_ins)
            .where(sign_ins.c.mailbox_id == id, sign_ins.c.version == version)
            .values(version=version + 1, sealed=sealed)
        )
        return result.rowcount == 1

    async def forget_sign_in(self, id: MailboxId) -> None:
        await self.connection.execute(delete(sign_ins).where(sign_ins.c.mailbox_id == id))

    async def save_article(self, name: str, title: str, sha256: str, passages: int) -> None:
        row = {"name": name, "title": title, "sha256": sha256, "passages": passages}
        full = {**row, "added_at": self.now}
        await self.upsert(
            knowledge_base, full, ["name"], ["title", "sha256", "passages", "added_at"]
        )

    async def forget_article(self, name: str) -> None:
        await self.connection.execute(delete(knowledge_base).where(knowledge_base.c.name == name))

    # -- cards

    async def intend_place(self, id: TicketId, network: Network, channel: str) -> None:
        """Note that a card will be posted, before it is: a place without a message."""
        row = {
            "ticket_id": id,
            "network": network.value,
            "channel": channel,
            "message": "",
            "version": 0,
            "posted_at": self.now,
        }
        await self.insert_or_ignore(cards, row, ["ticket_id", "network", "channel"])

    async def record_place(self, id: TicketId, place: Place) -> None:
        """Remember where a card is shown; one row per ticket, network and channel."""
        row = {
            "ticket_id": id,
            "network": place.network.value,
            "channel": place.channel,
            "message": place.message,
            "version": place.version,
            "posted_at": self.now,
        }
        keys = ["ticket_id", "network", "channel"]
        await self.upsert(cards, row, keys, ["message", "version"])

    async def record_shown(self, id: TicketId, version: int) -> None:
        """All cards of a ticket show at least this version."""
        await self.connection.execute(
            update(tickets)
            .where(tickets.c.id == id, tickets.c.shown_version < version)
            .values(shown_version=version)
        )

    # -- escalations

    async def begin_alert(self, id: int, network: Network, channel: str) -> None:
        """Before somebody is told: a process that dies here leaves a trace."""
        row = {"escalation_id": id, "network": network.value, "channel": channel}
        full = {**row, "message": "", "shown": "", "posted_at": None}
        await self.insert_or_ignore(alerts, full, list(row))

    async def record_alert(
        self, id: int, network: Network, channel: str, message: str, shown: str
    ) -> None:
        """Somebody was told there; ``shown`` names what the message says."""
        row = {"escalation_id": id, "network": network.value, "channel": channel}
        full = {**row, "message": message, "shown": shown, "posted_at": self.now}
        await self.upsert(alerts, full, list(row), ["message", "shown", "posted_at"])

    async def record_fired(self, noted: Escalation, told: int) -> None:
        """Everybody was told who could be reached; ``told`` is in how many places."""
        await self.connection.execute(
            update(escalations).where(escalations.c.id == noted.id).values(fired_at=self.now)
        )
        said = {"rung": noted.rung, "clock": noted.clock, "told": told}
        self.audit("alert", f"escalation:{noted.id}", TicketId(noted.ticket_id), said)

    async def make_moot(self, id: int, reason: str) -> None:
        """Nobody need be told any more."""
        await self.connection.execute(
            update(escalations)
            .where(escalations.c.id == id, escalations.c.fired_at.is_(None))
            .values(moot=reason)
        )
