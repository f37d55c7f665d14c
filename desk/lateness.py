"""Reading what is late, what will be, what does not work, and who was told."""

from __future__ import annotations

from sqlalchemy import select

from desk import audit, dead_letters, ranking, troubles
from desk.ids import MailboxId, TicketId
from desk.reading import Reading
from desk.sla import records as sla_records
from desk.sla.auditor import Finding, audited
from desk.sla.records import Alert
from desk.sla.rungs import Escalation, SlaClock
from desk.steps import Step
from desk.tables.sla import escalations
from desk.ticket import Ticket
from desk.troubles import Trouble


class Lateness(Reading):
    """Part of the Store."""

    async def due_clocks(self) -> list[int]:
        """The clocks that have come to a rung."""
        async with self.read() as connection:
            return await sla_records.due_clocks(connection, self.clock.now())

    async def without_clock(self) -> list[TicketId]:
        """Tickets that wait and never had a clock."""
        async with self.read() as connection:
            return await sla_records.without_clock(connection)

    async def asleep(self) -> list[TicketId]:
        """The snoozed tickets that are to wake."""
        async with self.read() as connection:
            return await sla_records.asleep(connection, self.clock.now())

    async def untold(self) -> list[int]:
        """Escalations of which somebody is still to be told, and that were not given up."""
        async with self.read() as connection:
            dead = await dead_letters.given_up(connection)
            found = await sla_records.untold(connection)
        return [id for id in found if (Step.ALERT, id) not in dead]

    async def troubles(self, id: MailboxId | None = None) -> list[Trouble]:
        """What does not work with a mailbox, or with all of them, and what was told of it."""
        async with self.read() as connection:
            return await troubles.read(connection, id)

    async def troubled(self) -> list[MailboxId]:
        """Mailboxes of which managers are still to be told, and that was not given up."""
        now = self.clock.now()
        async with self.read() as connection:
            dead = await dead_letters.given_up(connection)
            found = await troubles.read(connection)
        ids = dict.fromkeys(one.mailbox_id for one in found if one.is_to_be_told(now))
        return [id for id in ids if (Step.WARN, id) not in dead]

    async def escalation(self, id: int) -> Escalation:
        row = await self._one(select(escalations).where(escalations.c.id == id), f"escalation {id}")
        return sla_records.escalation(row)

    async def clocks(self, id: TicketId) -> list[SlaClock]:
        """All clocks of a ticket, oldest first."""
        async with self.read() as connection:
            return await sla_records.clocks_of(connection, [id])

    async def told(self, id: TicketId) -> list[Escalation]:
        """What people were told of a ticket that asks for an acknowledgement, oldest first."""
        async with self.read() as connection:
            return await sla_records.loud_escalations(connection, [id])

    async def alerts(self, id: TicketId) -> list[Alert]:
        """Every message about an escalation of this ticket."""
        async with self.read() as connection:
            return await sla_records.alerts_of(connection, id)

    async def failed_clocks(self) -> list[TicketId]:
        """Tickets that wait, and had a clock that could not be computed."""
        async with self.read() as connection:
            return await sla_records.failed(connection)

    async def late(self) -> list[Ticket]:
        """What is late already, is not urgent, and still stands in front of what is not late."""
        async with self.read() as connection:
            return await ranking.find_late(connection, self.vault, self.clock.now())

    async def audit_clocks(self) -> tuple[int, list[Finding]]:
        """How many rungs were noted, and what the audit log says went wrong with them."""
        async with self.read() as connection:
            return await audited(audit.entries(connection), self.clock.now())
