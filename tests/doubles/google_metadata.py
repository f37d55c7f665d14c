"""Gmail's format "metadata": any header that is asked for. The emulator knows the usual ones only,
and none in threads."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from email import message_from_bytes

from tests.doubles.fault_proxy import FaultProxy, Reply


async def thread_metadata(proxy: FaultProxy, path: str, names: Sequence[str]) -> Reply:
    reply = await proxy.forward("GET", f"{path}?format=minimal", {}, b"")
    thread = json.loads(reply.body)
    messages = []
    for one in thread.get("messages", []):
        place = f"{path.partition('/threads/')[0]}/messages/{one['id']}"
        messages.append(json.loads((await message_metadata(proxy, place, names)).body))
    return Reply.of(reply.status, {**thread, "messages": messages})


async def message_metadata(proxy: FaultProxy, path: str, names: Sequence[str]) -> Reply:
    """Any header that is asked for; the emulator knows the usual ones."""
    reply = await proxy.forward("GET", f"{path}?format=raw", {}, b"")
    if reply.status != 200:
        return reply
    message = json.loads(reply.body)
    mail = message_from_bytes(base64.urlsafe_b64decode(message.pop("raw") + "=="))
    headers = [{"name": name, "value": mail[name]} for name in names if name in mail]
    return Reply.of(200, {**message, "payload": {"headers": headers}})
