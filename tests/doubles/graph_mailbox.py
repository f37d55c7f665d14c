"""The mailbox behind the loopback Graph: messages, folders, drafts, and what changed when.

After Microsoft's pages "Get incremental changes to messages in a folder", "Use delta query to
track changes" (tokens, replays, delays, resets), "Obtain immutable identifiers for Outlook
resources", "message: send", "message: createReply" and "Update message" of
learn.microsoft.com/graph.
"""

from __future__ import annotations

import base64
import itertools
import random
import secrets
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.utils import getaddresses
from typing import Any


@dataclass
class Quirks:
    """What the documentation says may happen, on demand."""

    shuffled: bool = False  # "the return order is not guaranteed"
    empty_pages: bool = False  # "even if the current response may contain an empty result"
    duplicates: bool = False  # "a single entity will be contained multiple times"
    replays: bool = False  # "the same change appears in subsequent responses"
    sparse: bool = False  # updates come too, with the id and "at least" what was updated
    lag: float = 0.0  # "varying delays" between a change and its report, in seconds
    sending: float = 0.0  # "getting the message in Sent Items may not succeed immediately"
    new_id_when_sent: bool = False  # reported in microsoft-graph-docs#1533
    own_message_ids: bool = False  # drafts get Exchange's id, until they are updated
    fixed_message_ids: bool = False  # … and updating it changes nothing
    changed_recipients: bool = False  # a draft that is addressed to somebody else
    list_size: int = 0  # lists have several pages
    page_size: int = 0  # larger pages than were asked for: maxpagesize is a preference


@dataclass
class Message:
    """``id`` is the immutable one; ``place`` is the ordinary one, which a move changes."""

    raw: bytes
    folder: str
    received: datetime
    conversation: str
    message_id: str
    is_draft: bool = False
    is_read: bool = False
    id: str = field(default_factory=lambda: f"AAkALg{secrets.token_urlsafe(24)}=")
    place: str = field(default_factory=lambda: f"AAMkAD{secrets.token_urlsafe(24)}=")
    sent_at: float = 0.0  # when its copy shows up in Sent Items
    to: list[str] = field(default_factory=list)
    cc: list[str] = field(default_factory=list)
    files: list[tuple[str, str, bytes]] = field(default_factory=list)  # added to the draft
    last_verb: int = 0  # [MS-OXOMSG] PidTagLastVerbExecuted
    origin: Message | None = None  # what a draft answers

    @property
    def size(self) -> int:
        """About so many bytes leave."""
        return len(self.raw) + sum(len(data) * 4 // 3 for _, _, data in self.files)

    @property
    def whole(self) -> bytes:
        """As it leaves: with the files that were added."""
        if not self.files:
            return self.raw
        mail = message_from_bytes(self.raw, policy=policy.SMTP)
        assert isinstance(mail, EmailMessage)
        for name, kind, data in self.files:
            main, _, sub = kind.partition("/")
            mail.add_attachment(data, maintype=main, subtype=sub, filename=name)
        return mail.as_bytes()


@dataclass
class Change:
    """One entry of a folder's log."""

    at: float
    kind: str  # created, updated, deleted
    message: Message
    reason: str = ""


@dataclass
class Cursor:
    """What a token stands for: the rest of a round, and where the next round begins."""

    folder: str
    select: tuple[str, ...]
    kind: str
    items: list[dict[str, Any]]
    position: int
    is_round_over: bool = False
    pages: list[list[dict[str, Any]]] | None = None  # once the first page was asked for


class GraphMailbox:
    """One mailbox. Everything a person or the world does with it is a plain method."""

    def __init__(self) -> None:
        self.quirks = Quirks()
        self.messages: list[Message] = []
        self.log: dict[str, list[Change]] = {}
        self.left: list[bytes] = []  # what went out to the world
        self.cursors: dict[str, Cursor] = {}
        self._random = random.Random(4)  # noqa: S311 - it shuffles pages

    # -- the world

    def deliver(self, raw: bytes, folder: str = "inbox", age: timedelta = timedelta()) -> Message:
        received = datetime.now(UTC) - age
        return self._add(raw, folder, received)

    def move(self, message: Message, folder: str) -> None:
        """Its immutable id stays, the ordinary one does not."""
        self._note(message.folder, "deleted", message, "deleted")
        message.folder, message.place = folder, f"AAMkAD{secrets.token_urlsafe(24)}="
        self._note(folder, "created", message)

    def delete(self, message: Message) -> None:
        self.messages.remove(message)
        self._note(message.folder, "deleted", message, "deleted")

    def mark_read(self, message: Message) -> None:
        message.is_read = True
        self._note(message.folder, "updated", message)

    def act(self, message: Message, verb: int) -> None:
        """A person replies (102), replies to all (103) or forwards (104) in Outlook."""
        message.last_verb = verb
        self._note(message.folder, "updated", message)

    def forget_tokens(self) -> None:
        """The cache of tokens is full, or the mailbox was moved: every round begins anew."""
        self.cursors.clear()

    # -- what the API does

    def find(self, id: str) -> Message | None:
        now = time.monotonic()
        return next((m for m in self.messages if id in (m.id, m.place) and m.sent_at <= now), None)

    def having(self, message_id: str, folder: str = "") -> list[Message]:
        now = time.monotonic()
        return [
            m
            for m in self.messages
            if m.message_id == message_id and folder in ("", m.folder) and m.sent_at <= now
        ]

    def between(self, folder: str, start: datetime, end: datetime) -> list[Message]:
        return [m for m in self.messages if m.folder == folder and start <= m.received < end]

    def draft(self, raw: bytes, origin: Message | None = None) -> Message:
        message = self._add(raw, "drafts", datetime.now(UTC), is_draft=True)
        if origin is not None:
            message.conversation, message.origin = origin.conversation, origin
        if self.quirks.own_message_ids:
            message.message_id = f"<{secrets.token_hex(8)}@AM0PR0.eurprd01.prod.outlook.com>"
        if self.quirks.changed_recipients:
            message.to = ["somebody.else@example.org"]
        return message

    def update(self, message: Message, changes: Mapping[str, Any]) -> None:
        if "internetMessageId" in changes and not self.quirks.fixed_message_ids:
            message.message_id = str(changes["internetMessageId"])

    def send(self, message: Message) -> None:
        """A separate copy is made in Sent Items once it has left."""
        whole = message.whole
        self.left.append(whole)
        self.messages.remove(message)
        if message.origin is not None:
            self.act(message.origin, 102)
        sent = self._add(whole, "sentitems", datetime.now(UTC))
        sent.conversation, sent.message_id = message.conversation, message.message_id
        sent.sent_at = time.monotonic() + self.quirks.sending
        if not self.quirks.new_id_when_sent:
            sent.id = message.id

    # -- delta

    def start(self, folder: str, select: Iterable[str], kind: str) -> Cursor:
        present = [m for m in self.messages if m.folder == folder and self._is_seen(folder, m)]
        chosen = tuple(select)
        items = [shown(m, chosen) for m in present]
        position = len(self._visible(folder))
        return Cursor(folder, chosen, kind, self._arranged(items), position)

    def resume(self, token: str) -> Cursor | None:
        cursor = self.cursors.get(token)
        if cursor is None or not cursor.is_round_over:
            return cursor
        log = self._visible(cursor.folder)
        since = cursor.position
        if self.quirks.replays and len(log) > since:
            since = 0
        kinds = {cursor.kind, "updated"} if self.quirks.sparse else {cursor.kind}
        wanted = [c for c in log[since:] if not cursor.kind or c.kind in kinds]
        items = [self._reported(c, cursor.select) for c in wanted]
        return replace(
            cursor,
            items=self._arranged(items),
            position=len(log),
            is_round_over=False,
            pages=None,
        )

    def page(self, cursor: Cursor, size: int) -> tuple[list[dict[str, Any]], str, bool]:
        """The items, the token that goes on, and whether the round is over."""
        if cursor.pages is None:
            cursor.pages = self._pages(cursor.items, self.quirks.page_size or size)
        items, rest = cursor.pages[0], cursor.pages[1:]
        token = secrets.token_urlsafe(40)
        self.cursors[token] = replace(cursor, pages=rest, is_round_over=not rest)
        return items, token, not rest

    def _pages(self, items: list[dict[str, Any]], size: int) -> list[list[dict[str, Any]]]:
        pages = [items[start : start + size] for start in range(0, len(items), size)] or [[]]
        if self.quirks.duplicates:
            pages = [pages[0], *([a[-1], *b] for a, b in itertools.pairwise(pages))]
        if self.quirks.empty_pages:
            pages = [page for full in pages for page in ([], full)]
        return pages

    def _arranged(self, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
        if self.quirks.shuffled:
            self._random.shuffle(items)
        return items

    def _reported(self, change: Change, select: tuple[str, ...]) -> dict[str, Any]:
        if change.kind == "deleted":
            return {"id": change.message, "@removed": {"reason": change.reason}}
        if change.kind == "updated" and self.quirks.sparse:
            return {"id": change.message, "isRead": change.message.is_read}
        return shown(change.message, select)

    def _visible(self, folder: str) -> list[Change]:
        horizon = time.monotonic() - self.quirks.lag
        return [change for change in self.log.get(folder, []) if change.at <= horizon]

    def _is_seen(self, folder: str, message: Message) -> bool:
        return any(c.message is message for c in self._visible(folder))

    def _note(self, folder: str, kind: str, message: Message, reason: str = "") -> None:
        self.log.setdefault(folder, []).append(Change(time.monotonic(), kind, message, reason))

    def _add(self, raw: bytes, folder: str, received: datetime, is_draft: bool = False) -> Message:
        head = message_from_bytes(raw)
        known = f"{head.get('In-Reply-To', '')} {head.get('References', '')}".split()
        parent = next((m for m in self.messages if m.message_id in known), None)
        message = Message(
            raw=raw,
            folder=folder,
            received=received,
            conversation=parent.conversation if parent else f"AAQkAD{secrets.token_urlsafe(16)}=",
            message_id=str(head.get("Message-ID", "")).strip() or f"<{secrets.token_hex(8)}@x>",
            is_draft=is_draft,
            to=[a for _, a in getaddresses(head.get_all("To", [])) if a],
            cc=[a for _, a in getaddresses(head.get_all("Cc", [])) if a],
        )
        self.messages.append(message)
        self._note(folder, "created", message)
        return message


def shown(message: Message, select: tuple[str, ...] = ()) -> dict[str, Any]:
    """Its representation; ``id`` stays the message itself until the answer is written, since the
    kind of id depends on each request's own Prefer header."""
    everything: dict[str, Any] = {
        "@odata.etag": f'W/"{base64.b64encode(message.id.encode()).decode()[:20]}"',
        "id": message,
        "receivedDateTime": message.received.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "internetMessageId": message.message_id,
        "conversationId": message.conversation,
        "parentFolderId": f"folder-{message.folder}",
        "isDraft": message.is_draft,
        "isRead": message.is_read,
        "toRecipients": [{"emailAddress": {"name": a, "address": a}} for a in message.to],
        "ccRecipients": [{"emailAddress": {"name": a, "address": a}} for a in message.cc],
        "bccRecipients": [],
    }
    if not select:
        return everything
    return {k: v for k, v in everything.items() if k in (*select, "id", "@odata.etag")}
