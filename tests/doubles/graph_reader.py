"""What a store keeps of an Outlook mailbox: the checkpoint, and each key once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from mail.outlook import OutlookProvider
from mail.provider import Arrival
from tests.doubles.graph import Graph
from tests.doubles.graph_mailbox import Message


@dataclass
class Reader:
    """``handed_over`` are the keys as they came, also again."""

    provider: OutlookProvider
    checkpoint: str = ""
    kept: dict[str, Arrival] = field(default_factory=dict)
    handed_over: list[str] = field(default_factory=list)

    async def read(self, limit: int = 50) -> None:
        more = True
        while more:
            page = await self.provider.fetch(self.checkpoint, limit)
            assert len(page.arrivals) <= limit
            for arrival in page.arrivals:
                self.handed_over.append(arrival.key)
                self.kept.setdefault(arrival.key, arrival)
            self.checkpoint, more = page.checkpoint, page.more

    @property
    def received(self) -> list[bytes]:
        return sorted(a.raw for a in self.kept.values() if not a.is_sent)


def mail(number: int, answers: str = "") -> bytes:
    head = f"Message-ID: <{number}@example.org>\r\nFrom: customer@example.org\r\n"
    head += f"In-Reply-To: {answers}\r\n" if answers else ""
    return f"{head}To: desk@contoso.example\r\nSubject: mail {number}\r\n\r\nbody\r\n".encode()


def fill(service: Graph, numbers: Sequence[int]) -> list[Message]:
    return [service.box.deliver(mail(number)) for number in numbers]


def expected(numbers: Sequence[int]) -> list[bytes]:
    return sorted(mail(number) for number in numbers)
