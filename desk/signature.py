"""How a reply ends: a template with placeholders in braces, filled for its mailbox, and with the
name of whoever approves; pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

AGENT = "{agent}"
UNSIGNED = "[your name]"
PLACEHOLDER = re.compile(r"\{(\w*)\}")
NAMES = ("agent", "mailbox", "address", "team")


def faults(template: str) -> str:
    """A sentence when it has placeholders that mean nothing, else empty."""
    wrong = [one[0] for one in PLACEHOLDER.finditer(template) if one[1] not in NAMES]
    if not wrong:
        return ""
    known = ", ".join(f"{{{name}}}" for name in NAMES)
    return f"{', '.join(dict.fromkeys(wrong))} stands for nothing: write {known}"


@dataclass(frozen=True)
class Signature:
    """``mailbox`` is the name beside its address in replies, else how we call it."""

    template: str = ""
    mailbox: str = ""
    address: str = ""
    team: str = ""

    @cached_property
    def drafted(self) -> str:
        """With all but the agent's name. A line whose placeholders are all empty is left out."""
        known = {"agent": AGENT, "mailbox": self.mailbox, "address": self.address}
        given = {**known, "team": self.team}
        lines = []
        for line in self.template.replace("\r\n", "\n").strip().split("\n"):
            filled = PLACEHOLDER.sub(lambda found: given.get(found[1], found[0]), line).rstrip()
            if filled.strip() or not PLACEHOLDER.search(line):
                lines.append(filled)
        return "\n".join(lines)

    def begins(self, text: str) -> int:
        """Where it begins in a text that ends with it; the length of the text when it does not."""
        return found.start() if (found := self._at_the_end.search(text)) else len(text)

    @cached_property
    def _at_the_end(self) -> re.Pattern[str]:
        if not self.drafted:
            return re.compile(r"(?!)")
        parts = (re.escape(part) for part in self.drafted.split(AGENT))
        return re.compile("(?m)^" + "[^\\n]{1,200}?".join(parts) + r"\s*\Z")


def signed(text: str, agent: str, drafted: str) -> str:
    """As it leaves when ``agent`` approves it: their name is in the lines where ``drafted`` has
    its place. What a person wrote elsewhere stays as it is."""
    places = [line.rstrip() for line in drafted.split("\n") if AGENT in line]
    lines = text.split("\n")
    for at in reversed(range(len(lines))):
        if (line := lines[at].rstrip()) in places:
            places.remove(line)
            lines[at] = lines[at].replace(AGENT, agent)
    return "\n".join(lines)


def unsigned(text: str, signer: str, drafted: str) -> str:
    """As it is shown before somebody has approved it: with the name of who most likely will."""
    return signed(text, signer or UNSIGNED, drafted)


def taken_back(text: str, agent: str, drafted: str) -> str:
    """What ``agent`` signed, without the name again: it ends as the draft did, up to the name."""
    at = drafted.find(AGENT)
    if at < 0:
        return text
    ending = drafted[drafted.rfind("\n", 0, at) + 1 :].rstrip()
    kept = text.removesuffix(signed(ending, agent, drafted))
    return text if kept == text else kept + ending
