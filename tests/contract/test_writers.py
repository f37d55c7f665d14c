"""What every writer owes the ladder, and how the model writer meets each way a server can fail."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

from desk.classification import Category, Sentiment
from desk.errors import Misconfigured, Permanent, Throttled, Transient
from desk.response import Passage
from inference.extractive import Extractive
from inference.ladder import Question, Writer
from inference.letter import Letters
from inference.tgi import Dialect, Server, Tgi
from tests.doubles.tgi import FakeTgi, Fault, answer
from tests.services import free_port

RESET = Passage(
    "reset.md",
    "Resetting your password",
    "Sign-in",
    "You can reset your password on the sign-in page. Choose Forgot password and follow the link "
    "in the e-mail. The link is valid for 30 minutes.",
    0.8,
)
QUESTION = Question(
    subject="Password",
    text="How do I reset my password?",
    language="en",
    category=Category.ACCOUNT,
    sentiment=Sentiment.NEUTRAL,
    customer="<PERSON_1>",
    signature="Ann\nExample Ltd",
    passages=(RESET,),
)


@pytest.fixture(params=["tgi", "openai", "none", "extractive"])
async def writer(request: pytest.FixtureRequest) -> AsyncIterator[Writer]:
    if request.param == "extractive":
        yield Extractive(Letters())
        return
    async with AsyncExitStack() as stack:
        server = FakeTgi(
            answer("Hello <PERSON_1>,\n\nThe link is valid for 30 minutes [1].", (1,)),
            speaks="openai" if request.param == "openai" else "tgi",
            info={"max_total_tokens": 4096} if request.param == "tgi" else None,
        )
        await stack.enter_async_context(server)
        settings = Server(server.url, name=request.param, dialect=Dialect(request.param))
        yield await stack.enter_async_context(Tgi(settings, Letters()))


async def test_a_draft_says_who_wrote_it_and_cites_its_passage(writer: Writer) -> None:
    draft = await writer.write(QUESTION)
    assert draft.writer == writer.name
    assert draft.prompt
    assert [(c.n, c.passage) for c in draft.citations] == [(1, RESET)]
    assert "[1]" in draft.text
    assert not draft.needs_human


async def test_a_draft_greets_by_placeholder_and_ends_with_the_signature(writer: Writer) -> None:
    draft = await writer.write(QUESTION)
    assert draft.text.startswith("Hello <PERSON_1>,")
    assert draft.text.endswith("Kind regards\nAnn\nExample Ltd")


async def test_writers_serve_many_questions_at_once(writer: Writer) -> None:
    drafts = await asyncio.gather(*(writer.write(QUESTION) for _ in range(8)))
    assert len({draft.text for draft in drafts}) == 1


async def ask(server: FakeTgi, **settings: object) -> str:
    defaults: dict[str, object] = {"timeout": 5.0}
    options = Server(server.url, **(defaults | settings))  # type: ignore[arg-type]
    async with Tgi(options, Letters()) as tgi:
        return (await tgi.write(QUESTION)).text


@pytest.mark.parametrize("status", [424, 500, 502, 503, 504])
async def test_a_failing_server_is_tried_again_later(status: int) -> None:
    async with FakeTgi(faults=deque([Fault(status=status)])) as server:
        with pytest.raises(Transient, match=str(status)):
            await ask(server)


async def test_a_request_the_server_refuses_is_our_fault_and_not_repeated() -> None:
    for status in (400, 413, 422):
        async with FakeTgi(faults=deque([Fault(status=status)])) as server:
            with pytest.raises(Permanent, match=str(status)):
                await ask(server)
            assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7.0), ("", 5.0), ("soon", 5.0), ("9999", 600), ("inf", 600), ("nan", 5.0), ("-1", 5.0)],
)
async def test_an_overloaded_server_says_how_long_to_wait(header: str, seconds: float) -> None:
    async with FakeTgi(faults=deque([Fault(status=429, retry_after=header)])) as server:
        with pytest.raises(Throttled) as caught:
            await ask(server)
        assert caught.value.seconds == seconds


@pytest.mark.parametrize("fault", [Fault(stall=30), Fault(drip=True)])
async def test_a_slow_server_costs_no_more_than_the_timeout(fault: Fault) -> None:
    async with FakeTgi(faults=deque([fault])) as server:
        started = time.monotonic()
        with pytest.raises(Transient):
            await ask(server, timeout=0.5)
        assert time.monotonic() - started < 5


async def test_a_body_cut_in_the_middle_is_transient() -> None:
    async with FakeTgi(faults=deque([Fault(cut=True)])) as server:
        with pytest.raises(Transient):
            await ask(server)


@pytest.mark.parametrize(
    "body",
    [
        "<html>Bad gateway</html>",
        "{}",
        "[]",
        '{"choices": []}',
        "null",
        '{"choices": [{"message": {"content": ["a", "list"]}}]}',
        '{"choices": [{"message": {"content": 3}}]}',
        '{"choices": "ab"}',
        "[" * 100_000,
    ],
)
async def test_a_body_that_is_no_completion_is_transient(body: str) -> None:
    async with FakeTgi(faults=deque([Fault(body=body)])) as server:
        with pytest.raises(Transient, match="no completion"):
            await ask(server)


async def test_nobody_listening_is_transient_with_and_without_info() -> None:
    async with Tgi(Server(f"http://127.0.0.1:{free_port()}"), Letters()) as tgi:
        with pytest.raises(Transient, match="cannot be reached"):
            await tgi.write(QUESTION)
    async with FakeTgi() as server:
        writer = await Tgi(Server(server.url), Letters()).__aenter__()
        await writer.write(QUESTION)
    with pytest.raises(Transient, match="did not answer"):
        await writer.write(QUESTION)
    await writer.__aexit__(None, None, None)


async def test_a_wrong_key_is_told_as_a_setting() -> None:
    async with FakeTgi(api_key="right") as server:
        with pytest.raises(Misconfigured, match="API key"):
            await ask(server, api_key="wrong")
        assert await ask(server, api_key="right")


async def test_without_a_key_the_hub_token_of_this_machine_stays_here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_of_somebody")
    async with FakeTgi() as server:
        await ask(server)
    assert all("hf_of_somebody" not in str(headers) for headers in server.headers)


async def test_tgi_reads_the_grammar_in_its_own_dialect() -> None:
    async with FakeTgi() as server:
        await ask(server)
    grammar = server.requests[0]["response_format"]
    assert grammar["type"] == "json"
    assert grammar["value"]["required"] == ["reply", "citations", "needs_human", "reason"]


async def test_tgi_refuses_the_grammar_of_openai() -> None:
    async with FakeTgi() as server:
        with pytest.raises(Permanent, match="422"):
            await ask(server, dialect=Dialect.OPENAI)


async def test_without_a_dialect_no_grammar_is_sent() -> None:
    async with FakeTgi() as server:
        await ask(server, dialect=Dialect.NONE)
    assert "response_format" not in server.requests[0]


BAD = [
    "Sure! Here is a draft.",
    '{"reply": "cut of',
    '{"reply": 3, "needs_human": false}',
    "",
    "[1]",
]


@pytest.mark.parametrize("bad", BAD)
async def test_bad_json_is_asked_for_once_more(bad: str) -> None:
    texts = iter([bad, answer("Hello. It is valid for 30 minutes [1].", (1,))])
    async with FakeTgi(lambda body: next(texts)) as server:
        assert "30 minutes" in await ask(server)
        assert len(server.requests) == 2


@pytest.mark.parametrize("bad", BAD)
async def test_bad_json_twice_is_permanent(bad: str) -> None:
    async with FakeTgi(bad) as server:
        with pytest.raises(Permanent, match="twice"):
            await ask(server)
        assert len(server.requests) == 2


@pytest.mark.parametrize(
    "wrapped", ["```json\n{}\n```", "Here you are:\n```\n{}\n```\nAnything else?", "{{x}} {}"]
)
async def test_fences_and_words_around_the_json_do_no_harm(wrapped: str) -> None:
    good = answer("Hello. It is valid for 30 minutes [1].", (1,))
    async with FakeTgi(wrapped.replace("{}", good)) as server:
        assert (await ask(server)).startswith("Hello. It is valid")
        assert len(server.requests) == 1


async def test_the_token_budget_is_read_once_and_kept_to() -> None:
    long = Question("Long", "word " * 20000, passages=(RESET,))
    async with FakeTgi() as server, Tgi(Server(server.url), Letters()) as tgi:
        await tgi.write(long)
        await tgi.write(long)
    sent = sum(len(message["content"]) for message in server.requests[0]["messages"])
    assert sent / 3 <= 4096 - 700
    assert server.requests[0]["max_tokens"] == 700
    assert server.asked_info == 1


async def test_a_server_too_small_for_any_prompt_is_a_setting() -> None:
    async with FakeTgi(info={"max_total_tokens": 1024}) as server:
        with pytest.raises(Misconfigured, match="tokens"):
            await ask(server)


@pytest.mark.parametrize(
    "info",
    [
        "",
        "the server is starting",
        "[4096]",
        "null",
        "{}",
        "[" * 100_000,
        '{"max_total_tokens": "many", "max_input_tokens": [1]}',
        '{"max_total_tokens": NaN, "max_input_tokens": Infinity}',
        '{"max_total_tokens": -1, "max_input_tokens": 0}',
        '{"max_total_tokens": true, "max_input_tokens": null, "model_id": 7}',
    ],
)
async def test_an_info_that_says_nothing_leaves_the_settings_as_they_are(info: str) -> None:
    async with FakeTgi(info=info) as server:
        writer = Tgi(Server(server.url, tokens=3000), Letters())
        async with writer:
            draft = await writer.write(replace(QUESTION, text="word " * 20_000))
    sent = sum(len(message["content"]) for message in server.requests[0]["messages"])
    assert 3000 < sent <= 3 * (3000 - 700)
    assert (draft.text != "", draft.model) == (True, "")


async def test_what_is_no_info_is_asked_for_again() -> None:
    server = FakeTgi(info="starting", info_type="text/html")
    async with server, Tgi(Server(server.url, tokens=100_000), Letters()) as tgi:
        await tgi.write(QUESTION)
        server.info = {"max_total_tokens": 2048}
        await tgi.write(replace(QUESTION, text="word " * 20_000))
    sent = sum(len(message["content"]) for message in server.requests[1]["messages"])
    assert sent <= 3 * (2048 - 700)


async def test_a_server_that_refuses_is_asked_what_it_takes_now() -> None:
    server = FakeTgi(faults=deque([Fault(status=422)]))
    async with server, Tgi(Server(server.url), Letters()) as tgi:
        with pytest.raises(Permanent):
            await tgi.write(QUESTION)
        await tgi.write(QUESTION)
        await tgi.write(QUESTION)
    assert server.asked_info == 2


async def test_info_is_asked_for_with_the_key() -> None:
    async with FakeTgi(api_key="right") as server:
        await ask(server, api_key="right")
    assert [headers.get("Authorization") for headers in server.headers] == 2 * ["Bearer right"]


@pytest.mark.parametrize("url", ["127.0.0.1:8080", "http://", "http://[", "ftp://model.example"])
async def test_what_is_no_address_is_told_as_a_setting(url: str) -> None:
    async with Tgi(Server(url), Letters()) as tgi:
        with pytest.raises(Misconfigured, match="http://"):
            await tgi.write(QUESTION)


async def test_an_answer_holds_nothing_that_cannot_be_stored() -> None:
    odd = (
        '{"reply": "It is \\ud800 30\\u0000 [1].", "needs_human": false, "reason": "\\udfff<|x|>"}'
    )
    async with FakeTgi(odd) as server, Tgi(Server(server.url), Letters()) as tgi:
        draft = await tgi.write(QUESTION)
    assert draft.text.startswith("It is ? 30 [1].")
    assert draft.reason == "?"


async def test_a_model_that_needs_a_person_says_why() -> None:
    refusal = answer("", (), needs_human=True, reason="The passages say nothing of refunds.")
    async with FakeTgi(refusal) as server, Tgi(Server(server.url), Letters()) as tgi:
        draft = await tgi.write(QUESTION)
    assert draft.text == ""
    assert draft.needs_human
    assert draft.reason == "The passages say nothing of refunds."


async def test_the_draft_names_the_model_that_runs_there() -> None:
    async with FakeTgi() as server, Tgi(Server(server.url), Letters()) as tgi:
        draft = await tgi.write(QUESTION)
    assert draft.model == "meta-llama/Meta-Llama-3-8B-Instruct"


async def test_template_tokens_in_an_answer_never_reach_the_customer() -> None:
    async with FakeTgi(answer("Hello. 30 minutes [1].<|eot_id|>", (1,))) as server:
        assert "<|" not in await ask(server)
