"""When a failed job comes back, and what it may say of itself."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from desk.errors import Permanent, Transient
from desk.faults import caught, kind, reason, trace
from workers.failure import backoff


@given(st.integers(min_value=0, max_value=10_000), st.floats(min_value=0, max_value=1))
def test_the_pause_is_random_between_nothing_and_a_doubling_ceiling(
    tries: int, chance: float
) -> None:
    pause = backoff(tries, base=2, cap=300, random=lambda: chance)
    assert pause == chance * min(300, 2 * 2**tries)


def test_pauses_differ() -> None:
    assert len({backoff(3) for _ in range(20)}) > 15


def failure() -> Exception:
    secret = "ann@example.com"
    try:
        try:
            raise ValueError(f"cannot parse {secret}")
        except ValueError as error:
            raise KeyError(secret) from error
    except KeyError as error:
        return error


def test_a_foreign_error_tells_its_types_and_place_but_no_values() -> None:
    error = failure()
    assert kind(error) == "KeyError from ValueError"
    assert reason(error) == "Unexpected KeyError from ValueError."
    assert trace(error).startswith("test_backoff:")
    assert trace(error).endswith(" failure")
    assert "ann" not in kind(error) + reason(error) + trace(error)


def test_our_own_errors_are_sentences() -> None:
    assert reason(Permanent("The mailbox was deleted.")) == "The mailbox was deleted."


async def test_errors_are_caught_as_values_but_a_cancellation_is_obeyed() -> None:
    async def work(outcome: BaseException | None) -> int:
        await asyncio.sleep(0)
        if outcome is not None:
            raise outcome
        return 7

    assert await caught(work(None)) == 7
    error = OSError()
    assert await caught(work(error)) is error
    assert isinstance(await caught(work(asyncio.CancelledError())), Transient)
    task = asyncio.create_task(caught(asyncio.sleep(10)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
