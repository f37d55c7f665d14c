"""How fast and how right mail is read, beside imap_tools and the standard library in one run.

    python -m bench.parse [FOLDER]

FOLDER holds mails in any depth; without one it is samples/. Each mail is given to all parsers, one
after the other, in an order that moves on from mail to mail; times are of the processor. Ours turns
HTML into text and separates reply, quote and signature as well; the others do not. When FOLDER
holds ``corpora`` with known answers, they are compared, too. Exit code 1 when a limit is missed.
"""

from __future__ import annotations

import sys

sys.path[0] = __file__.rpartition("bench")[0]  # in this folder, queue.py hides the standard one

import asyncio
import email
import email.policy
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from email.message import EmailMessage, Message
from email.utils import getaddresses, parsedate_to_datetime
from pathlib import Path

from imap_tools import MailMessage

from bench.limits.limits import Limits
from mail.parse import parse
from mail.parse_pool import ParsePool
from tests.corpus import duplicates, mails

HEADERS = ("from", "to", "cc", "reply-to")


def ours(raw: bytes) -> None:
    found = parse(raw)
    if any("could not be read" in defect for defect in found.defects):
        raise ValueError(found.defects)


def with_imap_tools(raw: bytes) -> None:
    found = MailMessage.from_bytes(raw)
    _ = found.subject, found.from_values, found.to_values, found.cc_values, found.reply_to_values
    _ = found.date, found.text, found.html, found.headers.get("message-id")
    for one in found.attachments:
        _ = one.filename, one.content_type, one.payload


def with_policy_default(raw: bytes) -> None:
    found = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(found, EmailMessage)
    _ = found["subject"], found["message-id"], found["references"], found["date"]
    for name in HEADERS:
        for header in found.get_all(name, []):
            _ = [one.addr_spec for one in header.addresses]
    body = found.get_body(("plain", "html"))
    if body is not None:
        body.get_content()
    for part in found.iter_attachments():
        _ = part.get_filename(), part.get_payload(decode=True)


def with_compat32(raw: bytes) -> None:
    found = email.message_from_bytes(raw)
    _ = str(email.header.make_header(email.header.decode_header(found.get("subject", ""))))
    for name in HEADERS:
        getaddresses([str(one) for one in found.get_all(name, [])])
    if found["date"]:
        parsedate_to_datetime(str(found["date"]))
    for part in found.walk():
        _read_part(part)


def _read_part(part: Message) -> None:
    data = part.get_payload(decode=True)
    if part.get_content_maintype() == "text" and isinstance(data, bytes):
        data.decode(part.get_content_charset("utf-8"), "replace")
    part.get_filename()


PARSERS: dict[str, Callable[[bytes], None]] = {
    "ours, with HTML to text and reply": ours,
    "imap_tools": with_imap_tools,
    "email, policy.default": with_policy_default,
    "email, compat32": with_compat32,
}


def race(raws: Sequence[bytes]) -> tuple[dict[str, list[float]], dict[str, Counter[str]]]:
    """Seconds of processor time for each mail, and what was raised."""
    seconds: dict[str, list[float]] = defaultdict(list)
    raised: dict[str, Counter[str]] = defaultdict(Counter)
    names = list(PARSERS)
    for number, raw in enumerate(raws):
        first = number % len(names)
        for name in (*names[first:], *names[:first]):
            begin = time.process_time()
            try:
                PARSERS[name](raw)
            except Exception as error:  # that is what is counted
                raised[name][type(error).__name__] += 1
            seconds[name].append(time.process_time() - begin)
    return seconds, raised


def print_race(raws: Sequence[bytes], limits: Limits) -> None:
    seconds, raised = race(raws)
    size = sum(map(len, raws)) / len(raws) / 1024
    print(f"{len(raws)} mails, {size:.1f} kB on average")
    first = next(iter(PARSERS))
    fastest = sum(seconds[first])
    for name, times in seconds.items():
        ninety_nine = statistics.quantiles(times, n=100)[-1]
        print(
            f"  {name:34} {len(times) / sum(times):6.0f} mails/s of one core"
            f"   {fastest / sum(times):5.2f} × ours"
            f"   p99 {ninety_nine * 1e3:6.1f} ms   worst {max(times) * 1e3:7.0f} ms"
            f"   raised {sum(raised[name].values())} {dict(raised[name]) or ''}"
        )

    ninety_nine = statistics.quantiles(seconds[first], n=100)[-1]
    limits.at_least("mails a second of one core", len(raws) / fastest, 500)
    limits.at_most("99 of 100 take", ninety_nine * 1e3, 15, " ms")
    limits.at_most("raised", sum(raised[first].values()), 0)


async def print_pool(raws: Sequence[bytes], limits: Limits) -> None:
    """The same through child processes, as the desk reads mail: by the clock on the wall."""
    async with ParsePool() as pool:
        await asyncio.gather(*map(pool.parse, raws[:64]))
        begin = time.perf_counter()
        found = await asyncio.gather(*map(pool.parse, raws))
        passed = time.perf_counter() - begin
        count = len(pool.processes)
    lost = sum(bool(one.quarantine) for one in found)
    rate = f"{len(raws) / passed:.0f} mails/s by the clock"
    print(f"  through {count} children: {rate}")
    limits.at_most("quarantined", lost, 0)


def print_answers(folder: Path, limits: Limits) -> None:
    scores = mails.fields(folder)
    asked, right = (sum(getattr(s, what) for s in scores.values()) for what in ("asked", "right"))
    for name, score in scores.items():
        print(f"  field {name:12} {score}")
    shares = {
        "fields as other parsers read them": (right / asked, 97),
        "visible replies": (mails.replies(folder).share, 100 * 40 / 49),
        "bounces and automatic answers known": (mails.machines(folder).share, 98),
        "ordinary mails not taken for them": (mails.people(folder).share, 99.7),
        "files inside of winmail.dat": (mails.containers(folder).share, 100),
    }
    for name, (share, wanted) in shares.items():
        limits.at_least(name, 100 * share, round(wanted, 1), " %")


def print_duplicates(folder: Path, limits: Limits) -> None:
    known = duplicates.ordinary(folder)
    different = [pair for pair in duplicates.linked(known) if pair[2] < 0.9]
    limits.at_most(f"of {len(known)} mails, different ones taken for one", len(different), 0)
    for name, told in {
        "under one Message-ID, kept apart": duplicates.reused(known),
        "with another figure, kept apart": duplicates.figures(known),
        "with other transport headers, linked": duplicates.transported(known),
        "over a mailing list, linked": duplicates.listed(known),
        "sent again, linked": duplicates.resent(known),
    }.items():
        limits.at_least(f"{name}: of {told.asked}", told.asked - len(told.wrong), told.asked)


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / "samples"
    raws = [raw for path in mails.files(folder) if mails.is_mail(raw := path.read_bytes())]
    limits = Limits()
    print_race(raws, limits)
    asyncio.run(print_pool(raws, limits))
    if (folder / "corpora" / "reply_cases.jsonl").exists():
        print_answers(folder, limits)
        print_duplicates(folder, limits)
    limits.leave()


if __name__ == "__main__":
    main()
