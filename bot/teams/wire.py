"""The line to Teams, in plain dicts: the only file that knows Microsoft's botbuilder.

Its own HTTP adapter fails on invokes with a body, and bad tokens surface as 500; so requests are
checked and answered here, around the adapter's public ``process_activity``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any, TypeVar
from urllib.parse import urlsplit

import structlog

from bot.teams.entrance import CHANNEL, LOOPBACK, Json, check, is_local, is_ours, read_activity
from bot.teams.refusals import refusal
from desk.errors import Permanent, Transient

log = structlog.get_logger()

T = TypeVar("T")

SECONDS = 10.0
"""For one call; the connector blocks a thread for as long."""
THREADS = 4
AN_HOUR = timedelta(hours=1)

OnTurn = Callable[[Json], Awaitable[Json | None]]
"""Takes an activity; what it returns is the answer to an invoke."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: Json | None = None


@dataclass(frozen=True, slots=True)
class Member:
    """A person as the roster of a conversation has it."""

    email: str
    tenant: str


class TeamsWire:
    """Receives, posts and updates activities. ``openid_url`` is where Microsoft publishes the keys
    that its tokens are signed with; empty means the public cloud's address."""

    def __init__(
        self,
        app_id: str,
        password: str,
        tenant: str,
        *,
        is_local_test: bool = False,
        openid_url: str = "",
    ) -> None:
        check(app_id, password, tenant, is_local_test)
        self._app_id, self._password, self.tenant = app_id, password, tenant
        self._openid_url = openid_url
        self._opening = asyncio.Lock()
        self._adapter: Any = None
        self._clients: dict[str, Any] = {}
        self._calls = ThreadPoolExecutor(THREADS, "teams-call")
        self._checks = ThreadPoolExecutor(THREADS, "teams-check")

    async def open(self) -> None:
        """Import botbuilder, which takes seconds, beside the event loop."""
        async with self._opening:
            if self._adapter is None:
                self._adapter = await asyncio.to_thread(self._new_adapter)

    def close(self) -> None:
        for threads in (self._calls, self._checks):
            threads.shutdown(wait=False, cancel_futures=True)
        for client in self._clients.values():
            client.close()
        self._clients.clear()

    # -- in

    async def receive(
        self, headers: Mapping[str, str], body: bytes, on_turn: OnTurn, remote: str
    ) -> Answer:
        """``remote`` is the address that the request came from."""
        # browsers may send other types to any server without asking it first (CORS)
        if not headers.get("Content-Type", "").startswith("application/json"):
            return Answer(415, {"error": "Send application/json"})
        if not self._app_id and not is_local(headers, remote):
            return Answer(403, {"error": "Without an app id only this machine is listened to"})
        activity = read_activity(body)
        if activity is None:
            return Answer(400, {"error": "This is not an activity"})
        await self.open()
        return await self._authenticated(headers.get("Authorization", ""), activity, on_turn)

    async def _authenticated(self, token: str, activity: Json, on_turn: OnTurn) -> Answer:
        from botbuilder.schema import Activity

        try:
            parsed = Activity().deserialize(activity)
        except (AttributeError, TypeError, ValueError):
            return Answer(400, {"error": "This is not an activity"})
        try:
            caller = await self._check_token(token, parsed)
        except PermissionError:
            return Answer(401, {"error": "The token is not accepted"})
        except (OSError, TimeoutError) as error:
            log.warning("keys of Microsoft's tokens not read", error=type(error).__name__)
            return Answer(503, {"error": "The token cannot be checked now"})
        except Exception as error:
            # what PyJWT and botbuilder raise for a bad token: many kinds, all of them refusals
            log.info("token refused", error=f"{type(error).__name__}: {error}")
            return Answer(401, {"error": "The token is not accepted"})
        if self._app_id and not is_ours(activity, self.tenant):
            return Answer(403, {"error": "Not from Teams, or from another organisation"})
        return await self._turn(caller, parsed, activity, on_turn)

    async def _turn(self, caller: Any, parsed: Any, activity: Json, on_turn: OnTurn) -> Answer:
        from botbuilder.core import InvokeResponse
        from botbuilder.schema import Activity

        async def logic(context: Any) -> None:
            body = await on_turn(activity)
            if body is not None:
                value = InvokeResponse(status=200, body=body)
                await context.send_activity(Activity(type="invokeResponse", value=value))

        invoked = await self._adapter.process_activity(caller, parsed, logic)
        return Answer(int(invoked.status), invoked.body) if invoked else Answer(200)

    async def _check_token(self, token: str, parsed: Any) -> Any:
        """In a thread, for it reads the keys by a blocking request."""
        authentication = self._adapter.bot_framework_authentication

        def checked() -> Any:
            try:
                return asyncio.run(authentication.authenticate_request(parsed, token))
            except LookupError:
                if not _forget_old_keys():
                    raise
                return asyncio.run(authentication.authenticate_request(parsed, token))

        loop = asyncio.get_running_loop()
        return await asyncio.wait_for(loop.run_in_executor(self._checks, checked), SECONDS)

    # -- out

    async def post(self, reference: Json, activity: Json) -> str:
        """The id of the new message."""
        conversation = str(reference["conversation"]["id"])
        whole = _addressed(reference, activity)
        made = await self._call(
            reference, lambda c: c.conversations.send_to_conversation(conversation, whole)
        )
        return str(made.id or "") if made else ""

    async def update(self, reference: Json, id: str, activity: Json) -> None:
        """Raises Gone when there is no such message any more."""
        conversation = str(reference["conversation"]["id"])
        whole = {**_addressed(reference, activity), "id": id}
        await self._call(
            reference, lambda c: c.conversations.update_activity(conversation, id, whole)
        )

    async def member(self, reference: Json, account: str) -> Member:
        conversation = str(reference["conversation"]["id"])
        found = await self._call(
            reference,
            lambda c: c.conversations.get_conversation_member(conversation, account),
        )
        said: Mapping[str, object] = found.additional_properties
        return Member(str(said.get("email") or ""), str(said.get("tenantId") or ""))

    async def private(self, reference: Json, account: str) -> Json:
        """The conversation with this person alone, made if need be."""
        tenant = reference["conversation"].get("tenantId") or self.tenant
        wanted = {
            "isGroup": False,
            "bot": reference["bot"],
            "members": [{"id": account}],
            "tenantId": tenant,
            "channelData": {"tenant": {"id": tenant}},
        }
        made = await self._call(reference, lambda c: c.conversations.create_conversation(wanted))
        id, kind = str(made.id or ""), "personal"
        return {
            **reference,
            "conversation": {"id": id, "tenantId": tenant, "conversationType": kind},
        }

    async def _call(self, reference: Json, call: Callable[[Any], T]) -> T:
        """Transient, Throttled, Gone or Permanent when it does not work."""
        await self.open()
        url = str(reference["serviceUrl"])
        if not self._app_id and urlsplit(url).hostname not in LOOPBACK:
            raise Permanent("Without an app id, Maildesk talks to this machine only")

        def made() -> T:
            return call(self._client(url))

        with_time = asyncio.get_running_loop().run_in_executor(self._calls, _translating(made))
        try:
            return await asyncio.wait_for(with_time, 2 * SECONDS)
        except TimeoutError:
            raise Transient("Teams does not answer") from None

    def _client(self, url: str) -> Any:
        """One for each address: a new one would ask Microsoft for a new token each time."""
        from botframework.connector import ConnectorClient
        from botframework.connector.auth import MicrosoftAppCredentials

        if url not in self._clients:
            credentials = MicrosoftAppCredentials(self._app_id, self._password, self.tenant)
            client = ConnectorClient(credentials, url)
            client.config.connection.timeout = SECONDS
            # repeating is our queue's business, which knows Retry-After
            client.config.retry_policy.retries = 0
            self._clients[url] = client
        return self._clients[url]

    def _new_adapter(self) -> Any:
        from botbuilder.integration.aiohttp import (
            CloudAdapter,
            ConfigurationBotFrameworkAuthentication,
        )
        from botframework.connector.auth import ChannelValidation

        if self._openid_url:
            ChannelValidation.open_id_metadata_endpoint = self._openid_url
        settings = {"APP_ID": self._app_id, "APP_PASSWORD": self._password}
        if self._app_id:
            settings |= {"APP_TYPE": "SingleTenant", "APP_TENANTID": self.tenant}
        known = SimpleNamespace(**settings)
        return CloudAdapter(ConfigurationBotFrameworkAuthentication(known))


def _forget_old_keys() -> bool:
    """A token names a key that we do not know: Microsoft may have published new ones since, which
    botbuilder would look for once a day. Hourly is enough against forged names."""
    from botframework.connector.auth.jwt_token_extractor import JwtTokenExtractor

    stale = [
        known
        for known in JwtTokenExtractor.metadataCache.values()
        if known.last_updated < datetime.now() - AN_HOUR
    ]
    for known in stale:
        known.last_updated = datetime.min
    return bool(stale)


def _addressed(reference: Json, activity: Json) -> Json:
    return {
        "type": "message",
        "channelId": CHANNEL,
        "serviceUrl": reference["serviceUrl"],
        "from": reference["bot"],
        "conversation": reference["conversation"],
        **activity,
    }


def _translating(call: Callable[[], T]) -> Callable[[], T]:
    """What the connector raises, as our errors."""

    def translated() -> T:
        from msrest.exceptions import ClientException, HttpOperationError

        try:
            return call()
        except HttpOperationError as error:
            raise refusal(error.response.status_code, error.response.headers) from error
        except PermissionError as error:
            raise Permanent(
                "Microsoft gives the bot no token: look at teams.app_id, teams.app_password and"
                " teams.tenant_id (the password may have expired)"
            ) from error
        except (ClientException, OSError) as error:
            raise Transient(f"Teams cannot be reached: {type(error).__name__}") from error

    return translated
