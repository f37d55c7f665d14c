"""The log of ``run``: whole lines, for its owner alone, and never more than a limit."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from stat import S_IMODE

import pytest
import structlog

from cli.logs import KEPT, MOST, configure_logs, opened_log
from desk.settings import Settings

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def usual() -> Iterator[None]:
    """What is configured for the process is afterwards as it was."""
    before, handlers = structlog.get_config(), logging.root.handlers[:]
    yield
    structlog.configure(**before)
    for added in set(logging.root.handlers) - set(handlers):
        added.close()
    logging.root.handlers[:] = handlers


def test_a_log_is_put_aside_before_it_is_too_large(tmp_path: Path) -> None:
    file = tmp_path / "new" / "maildesk.log"
    handler = opened_log(file, most=1001, kept=2)
    for number in range(100):
        handler.emit(logging.makeLogRecord({"msg": f"{number:99}"}))
    handler.close()
    files = sorted(file.parent.iterdir())
    assert [one.name for one in files] == ["maildesk.log", "maildesk.log.1", "maildesk.log.2"]
    assert {one.stat().st_size for one in files} == {1000}
    assert {S_IMODE(one.stat().st_mode) for one in files} == {0o600}
    lines = [line for one in reversed(files) for line in one.read_text().split()]
    assert lines == [str(number) for number in range(70, 100)], "the newest are kept"


@pytest.mark.usefixtures("usual")
def test_what_is_logged_is_one_line_each_and_what_libraries_say_too(tmp_path: Path) -> None:
    logging.root.handlers.clear()
    file = tmp_path / "maildesk.log"
    configure_logs(Settings(log_level="info"), file)
    log = structlog.get_logger()
    log.debug("too little")
    log.info("said", of="100 %s %d")
    log.error("failed", error="two\nlines")
    logging.getLogger("some.library").info("too little")
    logging.getLogger("some.library").warning("slow: %d s", 3)
    said, failed, library = file.read_text().splitlines()
    assert {"event": "said", "level": "info", "of": "100 %s %d"}.items() <= json.loads(said).items()
    assert json.loads(failed)["error"] == "two\nlines"
    assert library == "slow: 3 s"


def test_the_limit_is_documented() -> None:
    told = " ".join((ROOT / "docs" / "settings.md").read_text().split())
    assert f"With {MOST // 10**6} MB it is put aside as `maildesk.log.1`" in told
    assert f"the last {KEPT} are kept" in told
