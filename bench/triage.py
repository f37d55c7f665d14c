"""How many mails a second the real triage step commits to the real records (``python -m
bench.triage``): SQLite in a file, the size of a batch varied, all sizes taken in turns.

The classifier answers at once and the queue takes everything: what is measured is the step itself.
"""

from __future__ import annotations

import sys

sys.path[0] = __file__.rpartition("bench")[0]  # in this folder, queue.py hides the standard one

import asyncio
import hashlib
import shutil
import statistics
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from desk.classification import Category, Classification, Label, Sentiment, Urgency
from desk.email import Address, ParsedEmail
from desk.engine import upgrade
from desk.ids import TicketId
from desk.mails import Received
from desk.rules import Job
from desk.store import Store
from desk.vault import create_key_file, open_vault
from workers.arrivals import take_in
from workers.triage import Triage

ROUNDS = 3
MAILS = 96
BATCHES = (1, 4, 16, 32)
OWN = "support@desk.example"


class Neutral:
    async def classify(self, emails: Sequence[str]) -> list[Classification]:
        mood, kind = Label(Sentiment.NEUTRAL, 0.9), Label(Category.SUPPORT, 0.9)
        return [Classification(mood, Label(Urgency.NORMAL, 0.9), kind) for _ in emails]


class Taking:
    async def put(self, *jobs: Job) -> None:
        """Nobody runs them."""


def mail(number: int) -> Received:
    parsed = ParsedEmail(
        message_id=f"<{number}@customer.example>",
        sender=Address("Eve", f"eve{number}@customer.example"),
        to=(Address("", OWN),),
        subject=f"Question {number}",
        text=f"My scanner {number} is broken. " * 20,
    )
    raw = parsed.text.encode()
    digest = hashlib.sha256(raw).hexdigest()
    now = datetime.now(UTC)
    return Received(str(number), raw, digest, now, parsed, parsed.subject, str(number), "")


def url_of(folder: Path) -> str:
    return f"sqlite+aiosqlite:///{folder / 'desk.db'}"


async def fill(folder: Path) -> None:
    """A desk with so many tickets that wait for triage."""
    create_key_file(folder / "key")
    await upgrade(url_of(folder))
    async with Store.open(url_of(folder), open_vault(folder / "key")) as store:
        async with store.change() as change:
            box = await change.add_mailbox("support", OWN, "maildir")
        for start in range(0, MAILS, 32):
            async with store.change() as change:
                for number in range(start, start + 32):
                    await take_in(change, box, mail(number))


async def measured(folder: Path, batch: int) -> tuple[float, float]:
    """Seconds, and of them the processor's, for all mails."""
    async with Store.open(url_of(folder), open_vault(folder / "key")) as store:
        triage = Triage(store, Taking(), Neutral(), (), [OWN])
        began, busy = time.perf_counter(), time.process_time()
        for start in range(1, MAILS + 1, batch):
            failed = await triage(range(start, min(start + batch, MAILS + 1)))
            assert not failed, failed
        spent = time.perf_counter() - began, time.process_time() - busy
        last = await store.view(TicketId(MAILS))
        assert last.classification is not None
    return spent


async def main() -> None:
    found: dict[int, list[tuple[float, float]]] = {batch: [] for batch in BATCHES}
    with tempfile.TemporaryDirectory() as name:
        full = Path(name, "full")
        await asyncio.to_thread(full.mkdir)
        await fill(full)
        for round in range(ROUNDS):
            for batch in BATCHES:
                folder = Path(name, f"{round}-{batch}")
                await asyncio.to_thread(shutil.copytree, full, folder)
                found[batch].append(await measured(folder, batch))
    for batch, spent in found.items():
        rates = sorted(MAILS / seconds for seconds, _ in spent)
        busy = statistics.median(busy for _, busy in spent) / MAILS
        print(
            f"batches of {batch:3}: {rates[ROUNDS // 2]:6.0f} mails a second (of {ROUNDS}:"
            f" {rates[0]:.0f} to {rates[-1]:.0f}), {busy * 1000:5.1f} ms of processor time each"
        )


if __name__ == "__main__":
    asyncio.run(main())
