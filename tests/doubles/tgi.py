"""A loopback stand-in for Text Generation Inference: its routes, limits and ways to fail.

After router/src/server.rs, lib.rs and docs/openapi.json of huggingface/text-generation-inference:
errors are {"error", "error_type"}; a body that serde cannot read is 422 in plain text (axum's
JsonDataError); GrammarType is tagged by "type" with its content in "value".
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from aiohttp import web

ERRORS: Mapping[int, tuple[str, str]] = {
    422: ("Input validation error: `inputs` must have less than 4096 tokens", "validation"),
    424: ("Request failed during generation: CUDA out of memory", "generation"),
    429: ("Model is overloaded", "overloaded"),
    500: ("Incomplete generation", "incomplete_generation"),
    503: ("unhealthy", "healthcheck"),
}

Answering = Callable[[Mapping[str, Any]], str]


@dataclass(frozen=True)
class Fault:
    """One scripted misbehaviour: an error status, a stall, a body cut, garbled, or sent a byte at
    a time (``drip``)."""

    status: int = 200
    retry_after: str = ""
    stall: float = 0
    cut: bool = False
    drip: bool = False
    body: str = ""


def answer(
    reply: str,
    citations: tuple[int, ...] = (),
    needs_human: bool = False,
    reason: str = "",
) -> str:
    """The JSON a well-behaved model writes."""
    return json.dumps(
        {"reply": reply, "citations": list(citations), "needs_human": needs_human, "reason": reason}
    )


GOOD = answer("Hello, this is in the article [1].", (1,))


@dataclass
class FakeTgi:
    """A server on a free loopback port. ``faults`` are spent one a request, then it answers."""

    content: str | Answering = GOOD
    speaks: str = "tgi"  # or "openai", which knows TGI's grammar no more than TGI knows OpenAI's
    faults: deque[Fault] = field(default_factory=deque)
    api_key: str = ""
    info: dict[str, Any] | str | None = field(
        default_factory=lambda: {
            "model_id": "meta-llama/Meta-Llama-3-8B-Instruct",
            "max_concurrent_requests": 128,
            "max_input_tokens": 4095,
            "max_total_tokens": 4096,
            "version": "3.3.6",
            "router": "text-generation-router",
        }
    )
    info_type: str = "application/json"
    requests: list[dict[str, Any]] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    asked_info: int = 0
    url: str = ""

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_get("/info", self._info)
        app.router.add_get("/health", self._health)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._runner.cleanup()

    async def _info(self, request: web.Request) -> web.Response:
        self.asked_info += 1
        self.headers.append(dict(request.headers))
        if self.info is None:
            raise web.HTTPNotFound
        body = self.info if isinstance(self.info, str) else json.dumps(self.info)
        return web.Response(text=body, content_type=self.info_type)

    async def _health(self, request: web.Request) -> web.Response:
        return _error(503) if self.faults and self.faults[0].status == 503 else web.Response()

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        self.headers.append(dict(request.headers))
        if self.api_key and request.headers.get("Authorization") != f"Bearer {self.api_key}":
            return web.Response(status=401)
        body = await request.json()
        self.requests.append(body)
        fault = self.faults.popleft() if self.faults else Fault()
        if fault.stall:
            await asyncio.sleep(fault.stall)
        if fault.status != 200:
            return _error(fault.status, fault.retry_after)
        if refusal := unreadable(body, self.speaks):
            return web.Response(status=422, text=refusal)
        text = self.content if isinstance(self.content, str) else self.content(body)
        payload = fault.body or json.dumps(self._completion(text))
        if fault.cut or fault.drip:
            return await _cut_off(request, payload, slowly=fault.drip)
        return web.Response(text=payload, content_type="application/json")

    def _completion(self, text: str) -> dict[str, Any]:
        return {
            "object": "chat.completion",
            "id": "",
            "created": int(time.time()),
            "model": "some-model",
            "system_fingerprint": "3.3.6-sha",
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": text},
                    "logprobs": None,
                    "finish_reason": "stop",
                }
            ],
            "usage": {"prompt_tokens": 500, "completion_tokens": 50, "total_tokens": 550},
        }


def unreadable(body: Mapping[str, Any], dialect: str = "tgi") -> str:
    """Why serde cannot read a chat request, or nothing."""
    fault = ""
    if not isinstance(body.get("messages"), list):
        fault = "missing field `messages`"
    elif (wanted := body.get("response_format")) is not None:
        fault = _not_a_grammar(wanted) if dialect == "tgi" else _not_a_format(wanted)
    return f"Failed to deserialize the JSON body into the target type: {fault}" if fault else ""


def _not_a_grammar(wanted: Mapping[str, Any]) -> str:
    kind = wanted.get("type")
    if kind not in ("json", "json_object", "json_schema", "regex"):
        return f"response_format: unknown variant `{kind}`"
    if "value" not in wanted:
        return "response_format: missing field `value`"
    if kind == "json_schema" and "schema" not in wanted["value"]:
        return "response_format: missing field `schema`"
    return ""


def _not_a_format(wanted: Mapping[str, Any]) -> str:
    """OpenAI's ResponseFormat: text, json_object, or json_schema with its ``json_schema``."""
    kind = wanted.get("type")
    if kind not in ("text", "json_object", "json_schema") or "value" in wanted:
        return f"Invalid value: {kind}"
    return "missing json_schema" if kind == "json_schema" and kind not in wanted else ""


def _error(status: int, retry_after: str = "") -> web.Response:
    error, kind = ERRORS.get(status, (f"error {status}", "unknown"))
    headers = {"Retry-After": retry_after} if retry_after else {}
    return web.json_response({"error": error, "error_type": kind}, status=status, headers=headers)


async def _cut_off(request: web.Request, payload: str, slowly: bool) -> web.StreamResponse:
    """Says how much will come, sends half (or bytes for ever so long), and hangs up."""
    response = web.StreamResponse(headers={"Content-Length": str(len(payload.encode()))})
    response.content_type = "application/json"
    await response.prepare(request)
    for byte in payload.encode()[:100] if slowly else b"":
        await response.write(bytes([byte]))
        await asyncio.sleep(0.1)
    await response.write(payload.encode()[: len(payload) // 2])
    if request.transport is not None:
        request.transport.close()
    return response
