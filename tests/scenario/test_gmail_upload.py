"""Large replies through Gmail: uploaded part by part, and sent once whatever breaks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from desk.errors import Ambiguous, DeskError, Permanent, Transient
from desk.store import Store
from mail.gmail_api import JSON_BYTES, LARGEST
from mail.gmail_upload import PART
from mail.provider import Origin
from tests.doubles.fault_proxy import Fault
from tests.doubles.gmail_house import House, gmail_house, mail, origin_of
from tests.doubles.google import gmail_provider, refusal

LARGE = mail(2) + b"0123456789abcdef\r\n" * 300_000
PUT = "PUT /upload"
LAST = 2  # the number of the last part


@pytest.fixture
async def house(store: Store, gmail_emulator: str) -> AsyncIterator[House]:
    async with gmail_house(store, gmail_emulator) as house:
        yield house


async def send(house: House, mime: bytes = LARGE, origin: Origin | None = None) -> None:
    async with gmail_provider(house.google, seconds=20, tries=2) as provider:
        to = ["c@d.example"]
        await provider.send(mime, house.google.address, to, origin or Origin())


async def test_a_large_reply_is_uploaded_in_parts_in_its_conversation(house: House) -> None:
    google = house.google
    async with gmail_provider(google) as provider:
        google.deliver(mail(1))
        [question] = (await provider.fetch("")).arrivals
    await send(house, LARGE, origin_of(question))
    assert google.sent() == [LARGE]
    [sent] = google.ask("GET", "messages", labelIds="SENT")["messages"]
    assert sent["threadId"] == question.thread
    assert JSON_BYTES < PART + 1 < len(LARGE) < 2 * PART
    assert google.uploads.begun == 1
    total = len(LARGE)
    assert google.uploads.spans == [
        f"bytes 0-{PART - 1}/{total}",
        f"bytes {PART}-{total - 1}/{total}",
    ]


BREAKS = {
    "a part is lost": [Fault(PUT, deed="reset", times=1)],
    "a part's answer is lost": [Fault(PUT, deed="lose", times=1)],
    "the last part is lost": [Fault(PUT, deed="reset", every=LAST, times=1)],
    "the answer that it was sent is lost": [Fault(PUT, deed="lose", every=LAST, times=1)],
    "Gmail is away for a moment": [
        Fault(PUT, refusal(503, "backendError", "Backend error"), times=3)
    ],
    "a token ends": [Fault(PUT, refusal(401, "authError", "Invalid Credentials"), times=1)],
    "the beginning is lost": [Fault("POST /upload", deed="lose", times=1)],
    "it goes too fast": [
        Fault(PUT, refusal(429, "rateLimitExceeded", "Wait"), every=LAST, times=1)
    ],
}


@pytest.mark.parametrize("what", BREAKS)
async def test_an_upload_that_breaks_goes_on_and_the_mail_leaves_once(
    house: House, what: str
) -> None:
    google = house.google
    google.proxy.faults = [replace(fault) for fault in BREAKS[what]]
    await send(house)
    assert google.sent() == [LARGE]
    is_anew = what in ("it goes too fast", "the beginning is lost")
    assert google.uploads.begun == (2 if is_anew else 1)


async def test_what_gmail_took_of_a_part_is_not_sent_again(house: House) -> None:
    google = house.google
    google.uploads.keeps = PART // 2
    await send(house)
    assert google.sent() == [LARGE]
    assert google.uploads.spans[1].startswith(f"bytes {PART // 2}-")


@pytest.mark.parametrize(
    ("parts", "fault", "error"),
    [
        (1, Fault(PUT, deed="lose", times=1), Transient),
        (2, Fault(PUT, deed="lose", every=2, times=1), Ambiguous),
        (0, Fault(PUT, deed="reset", times=100), Transient),
    ],
)
async def test_an_upload_that_nobody_knows_any_more_says_how_sure_that_is(
    house: House, parts: int, fault: Fault, error: type[DeskError]
) -> None:
    """The mail may have left only if its last part was handed over."""
    google = house.google
    google.uploads.ends_after = parts
    google.proxy.faults = [replace(fault)]
    async with gmail_provider(google, seconds=20, tries=1) as provider:
        with pytest.raises(error):
            await provider.send(LARGE, google.address, ["c@d.example"])
    assert len(google.sent()) == (1 if error is Ambiguous else 0)


async def test_a_refused_upload_is_definite(house: House) -> None:
    google = house.google
    google.proxy.faults = [Fault(PUT, refusal(400, "invalidArgument", "Invalid To header"))]
    with pytest.raises(Permanent, match="Invalid To header"):
        await send(house)
    assert google.sent() == []


async def test_a_mail_above_gmails_limit_is_not_begun(house: House) -> None:
    with pytest.raises(Permanent, match="Gmail sends at most 35 MB"):
        await send(house, mail(2) + b"x" * LARGEST)
    assert house.google.uploads.begun == 0


async def test_an_upload_to_another_address_gets_no_token(house: House) -> None:
    """The address of an upload is opaque; Google's own hosts have several names."""
    google = house.google
    async with gmail_provider(google, seconds=20) as provider:
        google.proxy.url = google.proxy.url.replace("127.0.0.1", "localhost")
        await provider.send(LARGE, google.address, ["c@d.example"])
    assert google.sent() == [LARGE]
    assert google.uploads.signed == [False, False]
