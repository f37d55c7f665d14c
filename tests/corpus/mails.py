"""Mails of a folder of public corpora, and what their collections say is in them.

``folder`` holds ``corpora/mail`` (a folder for each collection) and ``corpora/reply_cases.jsonl``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from desk.email import Kind, ParsedEmail
from mail.parse import parse
from mail.reply import split
from mail.tnef import attachments_in

HEADER = re.compile(
    rb"(?:from|to|subject|date|received|message-id|return-path|mime-version):", re.I
)
BODY_FILE = re.compile(r".*\bbody\.(?:rtf|html)")
ORDINARY = ("easy_ham", "easy_ham_2", "hard_ham", "hard_ham_2")
MACHINES = frozenset({Kind.BOUNCE, Kind.AUTO})
NO_DATE = 978_307_200
"""What MailCore says of a mail without a date: the first second of 2001."""


@dataclass(slots=True)
class Score:
    """How many of the answers were right; ``wrong`` says which were not."""

    asked: int = 0
    wrong: list[str] = field(default_factory=list)

    @property
    def right(self) -> int:
        return self.asked - len(self.wrong)

    @property
    def share(self) -> float:
        return self.right / self.asked if self.asked else 1.0

    def ask(self, what: str, expected: object, found: object) -> None:
        self.asked += 1
        if expected != found:
            self.wrong.append(f"{what}: expected {str(expected)[:60]!r}, found {str(found)[:60]!r}")

    def __str__(self) -> str:
        return f"{self.right} of {self.asked} ({self.share:.1%})"


def files(folder: Path) -> list[Path]:
    """Every file under ``folder``, in a fixed order."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def is_mail(raw: bytes) -> bool:
    """Whether its first lines hold at least two of the headers that most mails have."""
    lines = raw[:4_000].splitlines()[:30]
    return sum(bool(HEADER.match(line)) for line in lines) >= 2


# -- fields: Stalwart's mail-parser and MailCore2 publish what they read in their test mails


def fields(folder: Path) -> dict[str, Score]:
    """Subject, sender, date, number of attachments, and a text where the other parser has one."""
    scores = {name: Score() for name in ("subject", "from", "date", "attachments", "body")}
    for path, expected, found in (*_stalwart(folder), *_mailcore(folder)):
        place = path.relative_to(folder / "corpora" / "mail")
        for name, value in expected.items():
            _ask(scores[name], f"{name} of {place}", value, found)
    return scores


def _ask(score: Score, what: str, expected: object, parsed: ParsedEmail) -> None:
    name = what.partition(" ")[0]
    if name == "subject":
        # a letter that the other parser could not read may be any
        pattern = ".".join(map(re.escape, str(expected).split("\ufffd")))
        is_same = bool(re.fullmatch(pattern, parsed.subject))
        score.ask(what, expected, expected if is_same else parsed.subject)
    elif name == "from":
        score.ask(what, expected, parsed.sender.address)
    elif name == "date":
        score.ask(what, expected, parsed.date)
    elif name == "attachments":
        score.ask(what, expected, len(parsed.attachments))
    else:
        score.ask(what, expected, bool(parsed.text.strip()))


Answer = tuple[Path, dict[str, object], ParsedEmail]


def _stalwart(folder: Path) -> Iterator[Answer]:
    for path in files(folder / "corpora" / "mail" / "stalwart-mail-parser"):
        if path.suffix != ".eml":
            continue
        raw = path.read_bytes()
        for answers, data in ((".json", raw), (".crlf.json", _with_crlf(raw))):
            expected = path.with_suffix(answers)
            if expected.exists():
                yield expected, _from_stalwart(json.loads(expected.read_text())), parse(data)


def _with_crlf(raw: bytes) -> bytes:
    return raw if b"\r\n" in raw else raw.replace(b"\n", b"\r\n")


def _from_stalwart(answer: dict[str, Any]) -> dict[str, object]:
    parts = answer["parts"]
    headers = {one["name"]: one["value"] for one in parts[0]["headers"] if _is_known(one)}
    texts = [parts[at]["body"] for at in (*answer["text_body"], *answer["html_body"])]
    found: dict[str, object] = {"attachments": len(answer["attachments"])}
    if any(_has_text(body) for body in texts):
        found["body"] = True  # to show a text that another program would only attach is no loss
    if "subject" in headers:
        found["subject"] = " ".join(headers["subject"]["Text"].split())
    if "from" in headers:
        groups = headers["from"]["Address"]
        people = groups.get("List") or [one for g in groups["Group"] for one in g["addresses"]]
        found |= _sender(next((one["address"] for one in people if one.get("address")), ""))
    if "date" in headers and (date := _stalwart_date(headers["date"]["DateTime"])):
        found["date"] = date
    return found


def _is_known(header: dict[str, Any]) -> bool:
    return isinstance(header["name"], str)


def _has_text(body: object) -> bool:
    return isinstance(body, dict) and any(
        str(body.get(kind) or "").strip() for kind in ("Text", "Html")
    )


def _stalwart_date(value: dict[str, int]) -> datetime | None:
    offset = timedelta(hours=value["tz_hour"], minutes=value["tz_minute"])
    zone = timezone(-offset if value["tz_before_gmt"] else offset)
    names = ("year", "month", "day", "hour", "minute")
    try:
        return datetime(*(value[name] for name in names), min(59, value["second"]), tzinfo=zone)  # type: ignore[misc, arg-type]
    except ValueError:
        return None  # 30 February and the like


def _sender(address: str) -> dict[str, object]:
    """RFC 5322 §3.4.1: an address has a domain. What has none cannot be answered."""
    return {"from": address} if "@" in address else {}


def _mailcore(folder: Path) -> Iterator[Answer]:
    data = folder / "corpora" / "mail" / "mailcore2" / "unittest" / "data" / "parser"
    for path in files(data / "output"):
        mail = data / "input" / path.relative_to(data / "output")
        if mail.exists():
            yield path, _from_mailcore(json.loads(path.read_text())), parse(mail.read_bytes())


def _from_mailcore(answer: dict[str, Any]) -> dict[str, object]:
    header = answer["header"]
    leaves = list(_leaves(answer["mainPart"]))
    found: dict[str, object] = {
        "subject": " ".join(header.get("subject", "").split()),
        "attachments": sum(not _is_text(leaf) for leaf in leaves),
    }
    writers = header.get("from", {}).get("items", [{}])
    found |= _sender(writers[0].get("mailbox", ""))
    seconds = int(header["date"])
    # RFC 5322 §4.3: a year of two digits from 50 on is of the 20th century; MailCore says 2091
    if 0 < seconds != NO_DATE and seconds < 2_524_608_000:
        found["date"] = datetime.fromtimestamp(seconds, UTC)
    return found


def _leaves(part: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if part["partType"] in ("single", "message"):
        yield part
        return
    for child in part["parts"]["items"]:
        yield from _leaves(child)


def _is_text(leaf: dict[str, Any]) -> bool:
    is_named = leaf.get("filename") or leaf.get("attachment")
    return leaf.get("mimeType", "").lower() in ("text/plain", "text/html") and not is_named


# -- visible replies, and what sort of mail it is


def replies(folder: Path) -> Score:
    """The visible reply, compared without regard to white space."""
    score = Score()
    for line in (folder / "corpora" / "reply_cases.jsonl").read_text().splitlines():
        case = json.loads(line)
        found = " ".join(split(case["text"]).reply.split())
        score.ask(f"{case['set']} {case['name']}", " ".join(case["reply"].split()), found)
    return score


def machines(folder: Path) -> Score:
    """Bounces and automatic answers, of which Sisimai's collection consists."""
    score = Score()
    for path in files(folder / "corpora" / "mail" / "sisimai"):
        if path.suffix == ".eml":
            score.ask(path.name, True, parse(path.read_bytes()).kind in MACHINES)
    return score


def people(folder: Path) -> Score:
    """Ordinary mail, SpamAssassin's ham: neither a bounce nor an automatic answer."""
    score = Score()
    data = folder / "corpora" / "mail" / "spamassassin-public" / "03-Classification" / "data"
    for name in ORDINARY:
        for path in files(data / name):
            score.ask(path.name, False, parse(path.read_bytes()).kind in MACHINES)
    return score


def containers(folder: Path) -> Score:
    """The files inside of winmail.dat, as the tnef program and MimeKit list them; a body that they
    make a file of is none."""
    score = Score()
    for path in files(folder / "corpora" / "mail"):
        listed = path.with_suffix(".list")
        if path.suffix == ".tnef" and listed.exists():
            found = {one.name for one in attachments_in(path.read_bytes())}
            for name in filter(None, listed.read_text().splitlines()):
                if not BODY_FILE.fullmatch(name):
                    score.ask(f"{path.name} {name}", True, name in found)
    return score
