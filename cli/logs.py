"""Logs: structlog, one JSON object a line, ids only."""

from __future__ import annotations

import io
import logging
import os
from functools import partial
from logging.handlers import RotatingFileHandler
from pathlib import Path

import structlog

from cli.records import make_folder
from desk.settings import Settings

MOST, KEPT = 10_000_000, 5
"""Bytes of a log before it is put aside, and how many of those are kept."""


class _LogFile(RotatingFileHandler):
    """Every file it makes is readable by its owner only."""

    def _open(self) -> io.TextIOWrapper:
        private = partial(os.open, mode=0o600)
        return open(self.baseFilename, "a", encoding=self.encoding, opener=private)


def configure_logs(settings: Settings, file: Path | None) -> None:
    """To ``file``, or to standard error. Libraries are heard from warnings on."""
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    handler = opened_log(file) if file is not None else logging.StreamHandler()
    logging.basicConfig(handlers=[handler], level=logging.WARNING, format="%(message)s")
    # Milvus Lite lacks a call that its own client tries first, and would log a trace for each
    logging.getLogger("grpc._server").setLevel(logging.CRITICAL)
    ours = logging.Logger("maildesk")
    ours.addHandler(handler)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: ours,
    )


def opened_log(file: Path, most: int = MOST, kept: int = KEPT) -> logging.Handler:
    """At its end; it is put aside when it would pass ``most`` bytes."""
    make_folder(file.parent)
    return _LogFile(file, maxBytes=most, backupCount=kept, encoding="utf-8")
