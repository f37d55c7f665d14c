"""Reading Outlook while it fails: pauses, outages, cut answers and sign-ins that end; the final set
of mails is the same."""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass, replace

import pytest

from desk.errors import Misconfigured, Throttled, Transient
from desk.ports import SystemClock
from mail.http import Http
from mail.oauth import Account, Client, SignIn, TokenSource, microsoft
from tests.doubles.graph import Fault, Graph, graph
from tests.doubles.graph_reader import Reader, expected, fill
from tests.services import free_port


async def patiently(service: Graph, reader: Reader, rounds: int = 20) -> None:
    """As intake does: what fails is tried again some time later."""
    for _ in range(rounds):
        with contextlib.suppress(Transient):
            await reader.read(6)
            if not service.faults:
                return
        service.time.forward(seconds=60)


FAULTS = {
    "429 with Retry-After": Fault("/v1.0/me", 429, "ApplicationThrottled", retry_after="0"),
    "429 without": Fault("/v1.0/me", 429, "ApplicationThrottled"),
    "503": Fault("/v1.0/me", 503, retry_after="0"),
    "504": Fault("/v1.0/me", 504),
    "a reset": Fault("/v1.0/me", reset=True),
    "half a page": Fault("delta", cut=True),
    "half a mail": Fault("$value", cut=True),
}


@pytest.mark.parametrize("name", FAULTS)
async def test_under_faults_the_final_set_is_the_same(
    service: Graph, reader: Reader, name: str
) -> None:
    fill(service, range(20))
    service.faults.extend([FAULTS[name]] * 12)
    await patiently(service, reader)
    assert not service.faults
    assert reader.received == expected(range(20))
    assert len(reader.kept) == 20


async def test_a_pause_that_outlook_asks_for_is_kept(service: Graph, reader: Reader) -> None:
    service.faults.append(Fault("delta", 429, "ApplicationThrottled", retry_after="40"))
    await reader.read()
    assert 40 <= service.paused < 45


async def test_a_long_pause_is_left_to_whoever_asked(service: Graph, reader: Reader) -> None:
    service.faults.append(Fault("delta", 429, "ApplicationThrottled", retry_after="600"))
    with pytest.raises(Throttled) as caught:
        await reader.read()
    assert caught.value.seconds == 600
    assert service.paused == 0


async def test_no_more_than_four_requests_run_at_a_time(service: Graph, reader: Reader) -> None:
    service.slow = 0.02
    fill(service, range(24))
    await asyncio.gather(reader.read(), *(reader.provider.find_sent(f"<{n}@x>") for n in range(20)))
    assert reader.received == expected(range(24))
    assert service.peak == 4  # a fifth would have been answered by 429


async def test_a_token_that_expires_in_the_middle_is_renewed_once(
    service: Graph, reader: Reader
) -> None:
    fill(service, range(10))
    page = await reader.provider.fetch("", 4)
    reader.checkpoint = page.checkpoint
    reader.kept = {arrival.key: arrival for arrival in page.arrivals}
    service.identity.expire()
    await reader.read(4)
    assert reader.received == expected(range(10))


@dataclass
class Kept:
    """A sign-in in memory, in the place of a database."""

    stored: SignIn

    async def load(self) -> SignIn:
        return self.stored

    async def save(self, sign_in: SignIn) -> bool:
        if sign_in.version == self.stored.version:
            self.stored = replace(sign_in, version=sign_in.version + 1)
            return True
        return False


async def test_a_sign_in_is_renewed_while_pages_are_read(service: Graph) -> None:
    fill(service, range(10))
    tokens = Kept(SignIn(refresh="refresh-0"))
    identity = replace(microsoft("common"), token_url=f"{service.url}/common/oauth2/v2.0/token")
    async with Http() as http:
        account = Account("desk", "outlook", "desk@contoso.example")
        source = TokenSource(account, Client(identity, "app"), tokens, http, SystemClock())
        async with service.opened(source) as provider:
            reader = Reader(provider, (page := await provider.fetch("", 4)).checkpoint)
            reader.kept = {arrival.key: arrival for arrival in page.arrivals}
            service.identity.expire()
            await reader.read(4)
        await source.close()
    assert reader.received == expected(range(10))
    assert service.identity.refreshed == 2
    assert tokens.stored.refresh == service.identity.refresh == "refresh-2"


class Stale:
    """A sign-in that the service does not accept."""

    async def __call__(self) -> str:
        return "stale"

    async def renewed(self, refused: str) -> str:
        return f"newer than {refused}"


async def test_who_is_not_let_in_is_told_to_sign_in_again(service: Graph) -> None:
    async with service.opened(Stale()) as provider:
        with pytest.raises(Misconfigured, match="sign in again"):
            await provider.fetch("")
    assert len(service.requests) == 2  # asked for a new one once


async def test_what_is_not_allowed_says_which_right_is_missing(
    service: Graph, reader: Reader
) -> None:
    service.faults.append(Fault("delta", 403, "ErrorAccessDenied"))
    with pytest.raises(Misconfigured, match=r"Mail\.ReadWrite"):
        await reader.read()


async def test_an_outlook_that_cannot_be_reached_is_tried_again_later() -> None:
    nowhere = Graph(f"http://127.0.0.1:{free_port()}")
    async with nowhere.opened() as provider:
        with pytest.raises(Transient):
            await provider.fetch("")


async def test_a_mail_that_is_never_handed_over_does_not_block_the_mailbox(
    service: Graph, reader: Reader
) -> None:
    broken, *_ = fill(service, range(12))
    service.faults.extend([Fault(f"{broken.id}/$value", 500, "ErrorInternalServerError")] * 1000)
    fill(service, range(12, 14))
    await patiently(service, reader)
    assert len(reader.kept) == 14
    assert b"Open it in the mailbox itself" in reader.kept[broken.id].raw


async def test_one_mail_that_is_never_handed_over_does_not_leave_the_mailbox_alone(
    service: Graph, reader: Reader
) -> None:
    broken, *_ = fill(service, range(30))
    service.faults.extend([Fault(f"{broken.id}/$value", 500, "ErrorInternalServerError")] * 1000)
    failures: list[str] = []
    for _ in range(10):
        try:
            await reader.read(6)
            break
        except Transient as error:
            failures.append(str(error))
    assert len(reader.kept) == 30
    assert [one for one in failures if "left alone" in one] == []


@pytest.mark.parametrize(
    "second",
    [
        [Fault("$value", 429, "ApplicationThrottled", retry_after="600")],
        [Fault("$value", 500, "ErrorInternalServerError")] * 6,
    ],
)
async def test_a_mail_that_failed_once_is_not_given_up_for_an_outage_later(
    service: Graph, reader: Reader, second: list[Fault]
) -> None:
    """Though many others were read in between."""
    slow, *_ = fill(service, range(12))
    first = Fault(f"{slow.id}/$value", 500, "ErrorInternalServerError")
    service.faults.extend([first] * 6)
    service.faults.extend(replace(one, where=f"{slow.id}/$value") for one in second)
    await patiently(service, reader)
    await patiently(service, reader)
    assert reader.received == expected(range(12))


async def test_a_row_of_mails_that_are_never_handed_over_holds_up_no_others(
    service: Graph, reader: Reader
) -> None:
    broken = fill(service, range(6))  # more than are asked for at once
    for one in broken:
        fault = Fault(f"{one.id}/$value", 500, "ErrorInternalServerError")
        service.faults.extend([fault] * 300)
    fill(service, range(6, 9))
    await patiently(service, reader)
    others = [raw for raw in reader.received if b"Open it in the mailbox itself" not in raw]
    assert others == expected(range(6, 9))


async def test_while_no_mail_can_be_read_none_is_given_up(service: Graph, reader: Reader) -> None:
    fill(service, range(3))
    service.faults.extend([Fault("$value", 500, "ErrorInternalServerError")] * 200)
    await patiently(service, reader, rounds=8)
    assert reader.received == []
    service.faults.clear()
    await patiently(service, reader)
    assert reader.received == expected(range(3))


async def test_our_token_goes_to_nobody_else(service: Graph, reader: Reader) -> None:
    fill(service, [1])
    async with graph() as stranger:
        page = await reader.provider.fetch("")
        place = json.loads(page.checkpoint)
        for spot in place["folders"].values():
            spot["link"] = spot["link"].replace(service.url, stranger.url)
        reader.checkpoint = json.dumps(place)
        await reader.read()
        assert stranger.requests == []
    assert reader.received == expected([1])
