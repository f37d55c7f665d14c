"""Numbers of records: none can be taken for another's."""

from __future__ import annotations

from typing import NewType

UserId = NewType("UserId", int)


MailboxId = NewType("MailboxId", int)


EmailId = NewType("EmailId", int)


TicketId = NewType("TicketId", int)


ResponseId = NewType("ResponseId", int)


DeadLetterId = NewType("DeadLetterId", int)
