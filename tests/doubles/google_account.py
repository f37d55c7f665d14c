"""Google accounts at npm ``emulate``, each behind the door of tests.doubles.google."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from tests.doubles.emulate import emulator
from tests.doubles.fault_proxy import FaultProxy
from tests.doubles.google import CLIENT, Google

USERS = 120
REDIRECT = "http://127.0.0.1/"

_users = count()


def seed() -> dict[str, Any]:
    users = [{"email": f"box{n}@lanewright.example", "name": f"Box {n}"} for n in range(USERS)]
    return {"google": {"users": users}}


def emulated_gmail(folder: Path) -> AbstractContextManager[str]:
    """The emulator's address while it runs."""
    return emulator(folder, "google", seed())


@asynccontextmanager
async def gmail_account(emulator: str) -> AsyncIterator[Google]:
    """A new account behind a proxy."""
    address = f"box{next(_users)}@lanewright.example"
    async with FaultProxy(emulator) as proxy:
        google = Google(emulator, address, _signed_in(emulator, address), proxy)
        proxy.layer = google.answer
        proxy.signs = {"authorization": f"Bearer {google.owner}"}
        yield google


def _signed_in(emulator: str, address: str) -> str:
    """The owner signs in at the emulator's own pages."""
    form = {"email": address, "redirect_uri": REDIRECT, "client_id": CLIENT, "scope": "email"}
    location = _post(f"{emulator}/o/oauth2/v2/auth/callback", form)[1]
    code = parse_qs(urlsplit(location).query)["code"][0]
    grant = {"grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT}
    text, _ = _post(f"{emulator}/oauth2/token", {**grant, "client_id": CLIENT})
    return str(json.loads(text)["access_token"])


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


def _post(url: str, form: dict[str, str]) -> tuple[str, str]:
    """The body, and where it redirects to."""
    opener = urllib.request.build_opener(_Stay)
    try:
        with opener.open(url, urlencode(form).encode()) as answer:
            return answer.read().decode(), ""
    except urllib.error.HTTPError as answer:
        with answer:
            return "", answer.headers["Location"]
