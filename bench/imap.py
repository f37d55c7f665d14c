"""How fast a mailbox behind a real Dovecot is read: our provider beside raw imaplib.

5,000 mails, the two in turn, several rounds; the ratio is what counts. Then: how long until a mail
that is delivered is told by IDLE and read (``python -m bench.imap``). Exit code 1 when a limit is
missed.
"""

from __future__ import annotations

import sys

sys.path[0] = __file__.rpartition("bench")[0]  # in this folder, queue.py hides the standard one

import asyncio
import imaplib
import random
import statistics
import time
from collections.abc import Callable

from bench.limits.limits import Limits
from mail.imap import ImapProvider
from mail.imap_account import ImapAccount
from mail.smtp import SmtpSender
from tests.doubles.dovecot import PASSWORD, Dovecot, dovecot

MAILS = 5_000
ROUNDS = 5
BATCH = 100
PAGE = 50  # as intake asks
DELIVERIES = 20


def mails() -> list[bytes]:
    """Sizes as those of real mail: half below 3 kB, some of 100 kB."""
    chance = random.Random(7)
    line = b"The quick brown fox jumps over the lazy dog and goes on and on and on.\r\n"
    found = []
    for number in range(MAILS):
        size = min(int(chance.lognormvariate(8.0, 1.0)), 100_000)
        head = f"Message-ID: <{number}@example.org>\r\nSubject: mail {number}\r\n\r\n".encode()
        found.append(head + line * (size // len(line) + 1))
    return found


def by_imaplib(server: Dovecot) -> int:
    client = imaplib.IMAP4("127.0.0.1", server.imap)
    client.login("alice", PASSWORD)
    client.select("INBOX", readonly=True)
    _, [said] = client.uid("SEARCH", "ALL")
    uids = said.split()
    count = 0
    for start in range(0, len(uids), BATCH):
        span = f"{int(uids[start])}:{int(uids[min(start + BATCH, len(uids)) - 1])}"
        _, answers = client.uid("FETCH", span, "(UID FLAGS INTERNALDATE BODY.PEEK[])")
        count += sum(isinstance(answer, tuple) for answer in answers)
    client.logout()
    return count


def provider(server: Dovecot) -> ImapProvider:
    account = ImapAccount("127.0.0.1", server.imap, "alice", PASSWORD, tls="none")
    return ImapProvider(account, SmtpSender("127.0.0.1", 9))


async def _by_provider(server: Dovecot) -> int:
    async with provider(server) as box:
        checkpoint, more = "", True
        keys: set[str] = set()
        while more:
            page = await box.fetch(checkpoint, PAGE)
            keys |= {arrival.key for arrival in page.arrivals}
            checkpoint, more = page.checkpoint, page.more
        return len(keys)


def by_provider(server: Dovecot) -> int:
    return asyncio.run(_by_provider(server))


def timed(read: Callable[[Dovecot], int], server: Dovecot) -> tuple[float, float]:
    """Mails per second, and per second of our CPU."""
    wall, cpu = time.perf_counter(), time.process_time()
    assert read(server) == MAILS
    return MAILS / (time.perf_counter() - wall), MAILS / (time.process_time() - cpu)


async def heard(server: Dovecot) -> list[float]:
    """Seconds from delivery until the mail is here, by IDLE."""
    found = []
    async with provider(server) as box:
        checkpoint, more = "", True
        while more or await box.wait(0.5):
            page = await box.fetch(checkpoint, PAGE)
            checkpoint, more = page.checkpoint, page.more
        for number in range(DELIVERIES):
            waiting = asyncio.create_task(box.wait(10))
            await asyncio.sleep(0.2)
            start = time.perf_counter()
            await asyncio.to_thread(server.deliver, b"Subject: new %d\r\n\r\nhello\r\n" % number)
            while not (page := await box.fetch(checkpoint, PAGE)).arrivals:
                await waiting
                waiting = asyncio.create_task(box.wait(10))
            found.append(time.perf_counter() - start)
            checkpoint = page.checkpoint
            waiting.cancel()
            await asyncio.wait([waiting])
    return found


def main() -> None:
    with dovecot() as server:
        server.fill(mails())
        by_imaplib(server)  # Dovecot makes its index
        pairs = [(timed(by_imaplib, server), timed(by_provider, server)) for _ in range(ROUNDS)]
        for name, side in (("imaplib", 0), ("maildesk", 1)):
            wall = statistics.median(pair[side][0] for pair in pairs)
            cpu = statistics.median(pair[side][1] for pair in pairs)
            print(f"{name:9} {wall:7,.0f} mails/s   {cpu:7,.0f} per CPU second")
        ratios = [ours[0] / raw[0] for raw, ours in pairs]
        print(f"the ratio in {ROUNDS} rounds: {min(ratios):.2f} to {max(ratios):.2f}")
        limits = Limits()
        limits.at_least("maildesk / imaplib, median", statistics.median(ratios), 0.6, " ×")
        seconds = asyncio.run(heard(server))
        print(f"delivered until read: median {statistics.median(seconds) * 1000:.0f} ms")
        limits.at_most(f"the slowest of {DELIVERIES}", max(seconds) * 1000, 1000, " ms")
    limits.leave()


if __name__ == "__main__":
    main()
