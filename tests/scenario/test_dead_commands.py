"""The commands on given-up jobs, on a desk whose Redis does not run: records first."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli import dead_commands
from cli.records import opened_store
from desk.burial import bury
from desk.ids import DeadLetterId
from desk.settings import Settings
from desk.steps import Failure, Step
from tests.doubles.desk import scene

FIELDS = ["subject", "urgency", "due", "score", "state", "assignee", "id", "ticket", "job"]
FIELDS += ["error", "reason", "tries", "at"]


@pytest.fixture
async def letters(tmp_path: Path) -> tuple[Settings, list[DeadLetterId]]:
    """Of a ticket, and of a mailbox."""
    settings = Settings(data=tmp_path / "v")
    async with opened_store(settings) as store:
        at = await scene(store)
        failure = Failure("Permanent", "Slack is gone.", "post:1 post")
        async with store.change() as change:
            ids = [
                await bury(change, Step.SHOW, at.ticket.id, failure, 1),
                await bury(change, Step.INTAKE, 1, failure, 5),
            ]
    return settings, ids


async def test_a_letter_is_listed_beside_its_ticket(
    letters: tuple[Settings, list[DeadLetterId]],
) -> None:
    settings, ids = letters
    of_mailbox, of_ticket = await dead_commands.listing(settings, 50)
    assert sorted(of_ticket) == sorted(of_mailbox) == sorted(FIELDS)
    assert (of_ticket["id"], of_ticket["job"]) == (ids[0], "show:1")
    assert (of_ticket["subject"], of_ticket["reason"], of_ticket["tries"]) == (
        "Nobody in our office can log in",
        "Slack is gone.",
        1,
    )
    assert (of_mailbox["subject"], of_mailbox["job"]) == (None, "intake:1")


async def test_decisions_are_told_id_by_id_and_taken_once(
    letters: tuple[Settings, list[DeadLetterId]],
) -> None:
    settings, [shown, fetched] = letters
    told = await dead_commands.requeue(settings, [fetched, 99], "")
    assert told == [
        {"id": fetched, "job": "intake:1", "ending": "requeued"},
        {"error": "There is no dead letter 99"},
    ]
    [told_again] = await dead_commands.discard(settings, [fetched], "")
    assert str(told_again["error"]).startswith(f"Dead letter {fetched} was requeued by ")
    await dead_commands.discard(settings, [shown], "nobody needs the channel")
    one = await dead_commands.one(settings, shown)
    assert (one["note"], one["trace"]) == ("nobody needs the channel", "post:1 post")
    assert str(one["closed"]).startswith(f"Dead letter {shown} was discarded by ")
    assert await dead_commands.listing(settings, 50) == []
