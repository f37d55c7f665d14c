"""Text on its way to Slack: escaping, times, limits and cutting, each in this one place."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from bot.words import clean, clip
from desk.standing import MARK, clock_time

# https://docs.slack.dev/reference/block-kit
HEADER = 150
SECTION = 3000
FIELD = 2000
FIELDS = 10
LABEL = 75
VALUE = 2000
OPTION_VALUE = 150
OPTIONS = 100
OVERFLOW = 5
CONFIRM = 300
MODAL_TITLE = 24
INPUT = 3000
BLOCKS = 50
MESSAGE = 12_000
"""Characters of one message over all its blocks. Slack says ``msg_blocks_too_long`` from about
13,200 on and documents no limit (https://github.com/slackapi/bolt-js/issues/2509)."""
PIECE = 2800
"""Characters of a long text in one section: below SECTION, for Slack does not say how it counts
characters outside of the basic plane."""

COMMAND = "/desk"
LIVE = re.compile(r"(?<=@)(?=here|channel|everyone|group)|(?<=:)(?=//)", re.IGNORECASE)
"""Where Slack by itself would make a mention or a link of plain words
(https://docs.slack.dev/reference/block-kit/composition-objects/text-object)."""
WORD_JOINER = "\u2060"
TYPED = re.compile(r"\b((?:show|why) \d+)")
UTC_ZONE = ZoneInfo("UTC")
AT_MARK = re.compile(rf"(?:\bat )?{MARK.pattern}")
DAY_AND_TIME = "{date_short_pretty} at {time}"
"""“today at 12:31”, in the reader's zone
(https://docs.slack.dev/messaging/formatting-message-text#date-formatting)."""

Run = dict[str, Any]
"""A part of rich text."""


def mrkdwn(text: str, limit: int = SECTION) -> str:
    """Literal text for a mrkdwn object: nothing in it can become a mention or link, times are shown
    in the reader's zone. At most ``limit`` characters, cut at a word and never inside of an entity.

    >>> mrkdwn("<!channel> & co"), mrkdwn("one & two & three", 18)
    ('&lt;!channel&gt; &amp; co', 'one &amp; two…')
    """
    length = limit
    while len(said := _said(clip(text, length))) > limit:
        length = max(1, min(length, len(text)) * limit // len(said) - 1)
    return said


def _said(text: str) -> str:
    # https://docs.slack.dev/messaging/formatting-message-text#escaping
    literal = (
        LIVE.sub(WORD_JOINER, text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    )
    return clean(AT_MARK.sub(lambda mark: _date(int(mark[1])), literal))


def _date(seconds: int) -> str:
    return f"<!date^{seconds}^{DAY_AND_TIME}|{_dated(seconds)}>"


def _dated(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC_ZONE):%Y-%m-%d %H:%M} UTC"


def typed(text: str, limit: int = SECTION) -> str:
    """Like ``mrkdwn``, with the commands it names as one types them here."""
    return TYPED.sub(rf"`{COMMAND} \1`", mrkdwn(text, limit))


def runs(text: str) -> list[Run]:
    """Text as the elements of rich text, which takes no markup: the words stay what they are, and
    times are shown in the reader's zone."""
    # https://docs.slack.dev/reference/block-kit/blocks/rich-text-block#date-element-type
    parts = AT_MARK.split(text)
    found: list[Run] = []
    for i, part in enumerate(parts):
        if i % 2:
            seconds = int(part)
            shown = {"format": DAY_AND_TIME, "fallback": _dated(seconds)}
            found.append({"type": "date", "timestamp": seconds, **shown})
        elif said := clean(part):
            found.append({"type": "text", "text": said})
    return found


def plain(text: str, limit: int, zone: ZoneInfo = UTC_ZONE, now: datetime | None = None) -> str:
    """Text for a plain_text object, which Slack shows as it is; times with the name of ``zone``,
    and with the day unless it is that of ``now``.

    >>> plain("at \ue0001764333060\ue001", 50, ZoneInfo("Europe/Berlin"))
    'at 13:31 CET'
    """
    return clip(clean(MARK.sub(lambda mark: _clock(int(mark[1]), zone, now), text)), limit)


def _clock(seconds: int, zone: ZoneInfo, now: datetime | None) -> str:
    name = datetime.fromtimestamp(seconds, zone).tzname()
    return f"{clock_time(seconds, zone, now)} {name}"


def pieces(text: str, size: int) -> list[tuple[str, str]]:
    """The text in parts of at most ``size`` characters, each with the white space that followed it:
    joined they are the text. Cut between paragraphs, else lines, else words.

    >>> pieces("one two", 5), pieces("abcdef", 4)
    ([('one', ' '), ('two', '')], [('abcd', ''), ('ef', '')])
    """
    found = []
    while len(text) > size:
        head = text[:size]
        at = next((i for cut in ("\n\n", "\n", " ") if (i := head.rfind(cut)) > 0), size)
        part = head[:at].rstrip()
        rest = text[at:].lstrip()
        found.append((part, text[len(part) : len(text) - len(rest)]))
        text = rest
    return [*found, (text, "")] if text or not found else found
