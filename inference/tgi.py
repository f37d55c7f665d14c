"""The writer on a language model: Text Generation Inference, or any server that speaks
/v1/chat/completions (vLLM, SGLang, llama.cpp), asked through huggingface_hub.

Never run for real: TGI with Llama 3 weights. The tests talk to a loopback double built after the
sources of TGI's router; how well a model follows the prompt, and whether a grammar slows it down,
was not seen.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from desk.errors import Misconfigured, Permanent, Throttled, Transient
from desk.response import Draft
from inference.ladder import Question
from inference.letter import Letters
from inference.prompt import PROMPT, SCHEMA, Prompt, build, clean
from inference.sentences import MARK

if TYPE_CHECKING:
    import aiohttp
    from huggingface_hub import AsyncInferenceClient


class Dialect(StrEnum):
    """How a server wants to be told that the answer is JSON.

    TGI's GrammarType is ``{"type": "json", "value": schema}`` (router/src/lib.rs). For the others
    the plain ``json_object`` is sent: huggingface_hub 2.4 rewrites OpenAI's ``json_schema`` form
    into TGI's before it leaves. The answer is validated here in any case.
    """

    TGI = "tgi"
    OPENAI = "openai"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Server:
    """A model server. ``url`` without /v1; ``model`` may stay empty for TGI, which has one.

    ``tokens`` (prompt and answer together) is used when the server has no /info.
    """

    url: str
    name: str = "tgi"
    model: str = ""
    api_key: str = ""
    dialect: Dialect = Dialect.TGI
    timeout: float = 60.0
    answer: int = 700
    tokens: int = 8192


_INFO_TIMEOUT = 10.0  # seconds
_TOO_LONG = (400, 413, 422)  # what servers say of a prompt that is longer than they take


class _BadAnswer(Exception):
    """The model's text is not the JSON that was asked for."""


class Tgi:
    """Writes drafts on one server. Use as an async context manager."""

    def __init__(self, server: Server, letters: Letters) -> None:
        self.name = server.name
        self._server = server
        self._letters = letters
        self._url = server.url.rstrip("/").removesuffix("/v1")
        self._info: dict[str, Any] | None = None
        self._client: AsyncInferenceClient | None = None
        self._session: aiohttp.ClientSession | None = None
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        import aiohttp
        from huggingface_hub import AsyncInferenceClient

        # without a key the client would send the token of the machine's Hub login
        self._client = AsyncInferenceClient(
            base_url=f"{self._url}/v1",
            api_key=self._server.api_key or "none",
            timeout=self._server.timeout,
        )
        self._open.push_async_callback(self._client.close)
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_INFO_TIMEOUT))
        self._open.push_async_callback(self._session.close)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._open.aclose()

    async def write(self, question: Question) -> Draft:
        prompt = build(question, secrets.token_hex(8), await self._budget())
        for attempt in range(2):
            content = await self._complete(prompt, attempt)
            try:
                answer = read_answer(content)
            except _BadAnswer as error:
                fault = error
                continue
            return self._draft(question, prompt, answer)
        raise Permanent(f"The model of {self.name} did not answer in JSON, twice: {fault}")

    def _draft(self, question: Question, prompt: Prompt, answer: Answer) -> Draft:
        used = {int(n) for n in MARK.findall(answer.reply)} | set(answer.citations)
        citations = tuple(citation for citation in prompt.citations if citation.n in used)
        text = answer.reply
        return Draft(
            text=f"{text}\n\n{self._letters.closing(question)}".strip() if text else "",
            citations=citations,
            writer=self.name,
            model=self._server.model or _word(self._info, "model_id"),
            prompt=PROMPT,
            needs_human=answer.needs_human or not text,
            reason=answer.reason or ("" if text else "The model left the reply empty."),
        )

    async def _budget(self) -> int:
        """Tokens for the prompt, from GET /info once; only TGI has it. What it does not say is as
        the settings say."""
        if self._info is None:
            self._info = await self._read_info()
        total = _number(self._info, "max_total_tokens") or self._server.tokens
        most = _number(self._info, "max_input_tokens") or total
        budget = min(most, total - self._server.answer)
        if budget < 400:
            raise Misconfigured(
                f"{self.name} leaves {budget} tokens for the prompt: raise its total tokens or "
                "lower the length of the answer."
            )
        return budget

    async def _read_info(self) -> dict[str, Any] | None:
        """{} of a server that has none; None when something else answered: ask again."""
        import aiohttp

        if self._session is None:
            raise RuntimeError("used outside of its context")
        key = self._server.api_key
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        try:
            async with self._session.get(f"{self._url}/info", headers=headers) as response:
                if response.status >= 500 or response.status in (408, 429):
                    raise Transient(f"{self.name} answered {response.status}: it may be starting.")
                if response.status != 200:
                    return {}
                found = await response.json(content_type=None)
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError) as error:
            raise Misconfigured(
                f"{self._url} is no address of a model server: write http://HOST:PORT."
            ) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Transient(f"{self.name} cannot be reached at {self._url}.") from error
        except (ValueError, RecursionError):
            return None
        return found if isinstance(found, dict) else None

    async def _complete(self, prompt: Prompt, attempt: int) -> str:
        """The text of one completion. Its errors are translated here."""
        import httpx2
        from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

        if self._client is None:
            raise RuntimeError("used outside of its context")
        try:
            # the library's timeout is between bytes; this one is for the whole
            async with asyncio.timeout(self._server.timeout):
                output = await self._client.chat_completion(
                    [dict(message) for message in prompt.messages],
                    model=self._server.model or None,
                    max_tokens=self._server.answer,
                    temperature=0.1 + 0.3 * attempt,
                    response_format=_response_format(self._server.dialect),
                )
            content = output.choices[0].message.content
            if not isinstance(content, str | None):
                raise TypeError(type(content).__name__)
        except OfflineModeIsEnabled as error:
            raise Misconfigured("Unset HF_HUB_OFFLINE: it stops calls to model servers.") from error
        except HfHubHTTPError as error:
            status = error.response.status_code
            if status in _TOO_LONG:  # it may have been set up anew, with other limits
                self._info = None
            raise self._translated(status, error.response.headers) from error
        except (httpx2.HTTPError, TimeoutError, OSError) as error:
            raise Transient(f"{self.name} did not answer ({type(error).__name__}).") from error
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
            raise Transient(f"{self.name} sent something that is no completion.") from error
        return content or ""

    def _translated(self, status: int, headers: Any) -> Exception:
        if status == 429:
            return Throttled(f"{self.name} is overloaded.", _seconds(headers.get("Retry-After")))
        if status in (401, 403):
            return Misconfigured(f"{self.name} refused the API key ({status}): correct it.")
        if status == 404:
            return Misconfigured(f"{self._url} has no /v1/chat/completions, or not this model.")
        if status in (408, 424) or status >= 500:  # 424: TGI's generation failed
            return Transient(f"{self.name} failed ({status}).")
        return Permanent(f"{self.name} refused the request ({status}).")


def _response_format(dialect: Dialect) -> Any:
    if dialect is Dialect.TGI:
        return {"type": "json", "value": dict(SCHEMA)}
    return {"type": "json_object"} if dialect is Dialect.OPENAI else None


def _seconds(retry_after: str | None) -> float:
    """Retry-After in seconds (RFC 9110 §10.2.3); TGI sends none, and dates are not waited for."""
    try:
        seconds = float(retry_after or "")
    except ValueError:
        return 5.0
    return min(seconds, 600.0) if seconds >= 0 else 5.0  # also of what is no number ("nan")


def _number(info: Mapping[str, Any] | None, name: str) -> int:
    """A count of /info; 0 when it is none."""
    found = (info or {}).get(name)
    return max(0, found) if type(found) is int else 0


def _word(info: Mapping[str, Any] | None, name: str) -> str:
    found = (info or {}).get(name)
    return _storable(found) if isinstance(found, str) else ""


def _storable(text: str) -> str:
    """Half of a surrogate pair, which JSON can say, is no text that could be kept or sent."""
    return text.encode("utf-8", "replace").decode()


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model said, of the types that were asked for."""

    reply: str
    citations: tuple[int, ...]
    needs_human: bool
    reason: str


def read_answer(content: str) -> Answer:
    """The answer in a completion, also with a code fence or words around it. Raises _BadAnswer."""
    found = _object(content)
    reply, needs_human = found.get("reply"), found.get("needs_human")
    citations, reason = found.get("citations") or [], found.get("reason") or ""
    if not isinstance(reply, str) or not isinstance(needs_human, bool):
        raise _BadAnswer("reply or needs_human is missing")
    if not isinstance(citations, list) or not isinstance(reason, str):
        raise _BadAnswer("citations or reason has the wrong type")
    if not all(type(n) is int for n in citations):
        raise _BadAnswer("citations are not numbers")
    reply, reason = (clean(_storable(text)).strip() for text in (reply, reason))
    return Answer(reply, tuple(citations), needs_human, reason)


def _object(content: str) -> dict[str, Any]:
    decoder = json.JSONDecoder(strict=False)  # models write line breaks inside strings
    for brace in re.finditer(r"\{", content):
        try:
            found, _ = decoder.raw_decode(content, brace.start())
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict) and "reply" in found:
            return found
    raise _BadAnswer("no JSON object with a reply in it")
