"""Which mails in Outlook were answered before we came, by whichever mail program: Exchange keeps
what was done with a mail last.

The values: [MS-OXOMSG] PidTagLastVerbExecuted. A delta query cannot be asked for it
(github.com/microsoftgraph/microsoft-graph-docs/issues/1993), a list can: "Get
singleValueLegacyExtendedProperty" (learn.microsoft.com/graph).
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from urllib.parse import quote

from desk.errors import Misconfigured, Permanent
from mail.graph import Graph
from mail.outlook_place import stamp
from mail.provider import Arrival
from mail.quota import OneItem
from mail.record import Record, Unclear, any_records_in, any_text_in, records_in, text_in

log = logging.getLogger(__name__)

LAST_VERB = "Integer 0x1081"
REPLIED = {"102", "103"}  # to the sender, to all; 104 is a forward
AT_ONCE, PAGES = 500, 40


async def told(
    graph: Graph, folder: str, arrivals: Sequence[Arrival], connected: datetime
) -> tuple[Arrival, ...]:
    """The same arrivals of a folder, those marked that were answered before we came."""
    old = [one for one in arrivals if one.received_at < connected]
    replied = await _replied(graph, folder, old) if old else set()
    is_replied = {one.key: one.key in replied for one in old}
    return tuple(replace(one, is_answered=is_replied.get(one.key, False)) for one in arrivals)


async def _replied(graph: Graph, folder: str, mails: Collection[Arrival]) -> set[str]:
    """The ids of those of that time that were replied to; none when Outlook does not tell, for a
    ticket too many is better than none."""
    path = _path(folder, [one.received_at for one in mails])
    found: set[str] = set()
    try:
        for _ in range(PAGES):
            page = await graph.read(path, is_one=True)
            found.update(
                text_in(one, "id") for one in records_in(page, "value") if _is_replied(one)
            )
            path = any_text_in(page, "@odata.nextLink")
            if not path:
                break
    except Misconfigured:
        raise
    except (OneItem, Unclear, Permanent) as error:
        log.warning("which mails were answered is not known: %s", error)
    return found


def _path(folder: str, times: Collection[datetime]) -> str:
    """Times are shown in whole seconds and kept in parts of them."""
    first, end = stamp(min(times)), stamp(max(times) + timedelta(seconds=1))
    span = f"receivedDateTime ge {first} and receivedDateTime lt {end}"
    verb = f"singleValueExtendedProperties($filter=id eq '{LAST_VERB}')"
    options = {"$filter": span, "$select": "id", "$expand": verb, "$top": str(AT_ONCE)}
    query = "&".join(f"{name}={quote(text, safe='()=,:$')}" for name, text in options.items())
    return f"/mailFolders/{folder}/messages?{query}"


def _is_replied(record: Record) -> bool:
    """It may spell the property's name otherwise than we do."""
    return any(
        str(one.get("id", "")).casefold() == LAST_VERB.casefold()
        and str(one.get("value", "")) in REPLIED
        for one in any_records_in(record, "singleValueExtendedProperties")
    )
