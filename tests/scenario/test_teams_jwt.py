"""Only Microsoft's signed requests are listened to, from Teams and our own organisation."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

import jwt
import pytest
import pytest_asyncio

from desk.store import Store
from tests.doubles.openid import APP, OpenId, new_key, openid
from tests.doubles.teams import TENANT, Json, TeamsOffice, TeamsUser, teams_office

SETTINGS = {"app_id": APP, "app_password": "secret", "tenant_id": TENANT}


@dataclass
class Guarded:
    office: TeamsOffice
    keys: OpenId

    @property
    def user(self) -> TeamsUser:
        return self.office.user("ann")

    def token(self, kid: str = "key-1", changes: Mapping[str, object] | None = None) -> str:
        return self.keys.token(self.office.connector.url, kid, changes or {})

    async def ask(self, token: str | None, activity: Json | None = None) -> int:
        headers = {} if token is None else {"Authorization": token}
        sent = activity or self.user.activity("conversationUpdate")
        return (await self.user.send(sent, **headers))[0]


@pytest_asyncio.fixture
async def guarded(store: Store) -> AsyncIterator[Guarded]:
    async with (
        openid() as keys,
        teams_office(store, SETTINGS, openid_url=f"{keys.url}/openid") as office,
    ):
        yield Guarded(office, keys)


async def test_a_good_token_opens(guarded: Guarded) -> None:
    assert await guarded.ask(f"Bearer {guarded.token()}") == 200


BAD: Mapping[str, Mapping[str, object]] = {
    "for another bot": {"aud": "30000000-0000-0000-0000-000000000003"},
    "of another issuer": {"iss": "https://evil.example"},
    "expired": {"exp": 1_700_000_000},
    "for another server": {"serviceurl": "https://evil.example"},
}


@pytest.mark.parametrize("changes", BAD.values(), ids=BAD.keys())
async def test_a_token_that_is_not_for_us_is_refused(
    guarded: Guarded, changes: Mapping[str, object]
) -> None:
    assert await guarded.ask(f"Bearer {guarded.token(changes=changes)}") == 401


async def test_a_token_signed_by_somebody_else_is_refused(guarded: Guarded) -> None:
    good = guarded.token()
    claims = jwt.decode(good, options={"verify_signature": False})
    forged = jwt.encode(claims, new_key(), "RS256", {"kid": "key-1"})
    assert await guarded.ask(f"Bearer {forged}") == 401
    plain = jwt.encode(claims, "", "none", {"kid": "key-1"})
    assert await guarded.ask(f"Bearer {plain}") == 401
    assert await guarded.ask(f"Bearer {good[:-6]}AAAAAA") == 401
    assert await guarded.ask(f"Bearer {guarded.token('key-9')}") == 401


@pytest.mark.parametrize(
    "token", [None, "", "Bearer", "Bearer garbage", "Basic YTpi", "Bearer a b"]
)
async def test_no_token_and_garbage_are_refused(guarded: Guarded, token: str | None) -> None:
    assert await guarded.ask(token) == 401


async def test_new_keys_of_microsoft_are_found_within_the_hour(guarded: Guarded) -> None:
    from botframework.connector.auth.jwt_token_extractor import JwtTokenExtractor

    assert await guarded.ask(f"Bearer {guarded.token()}") == 200
    guarded.keys.keys["key-2"] = new_key()
    fresh = f"Bearer {guarded.token('key-2')}"
    reads = guarded.keys.reads
    assert await guarded.ask(fresh) == 401
    assert guarded.keys.reads == reads
    JwtTokenExtractor.metadataCache[f"{guarded.keys.url}/openid"].last_updated -= timedelta(hours=2)
    assert await guarded.ask(fresh) == 200


async def test_when_the_keys_cannot_be_read_teams_is_asked_to_come_again(guarded: Guarded) -> None:
    guarded.keys.is_away = True
    assert await guarded.ask(f"Bearer {guarded.token()}") == 503
    guarded.keys.is_away = False
    assert await guarded.ask(f"Bearer {guarded.token()}") == 200


async def test_other_channels_and_organisations_are_refused(guarded: Guarded) -> None:
    plain = guarded.user.activity("conversationUpdate")
    token = f"Bearer {guarded.token()}"
    foreign = {**plain, "channelData": {"tenant": {"id": "somebody-elses"}}}
    assert await guarded.ask(token, foreign) == 403
    # the key is endorsed for Teams alone
    assert await guarded.ask(token, {**plain, "channelId": "directline"}) in (401, 403)
