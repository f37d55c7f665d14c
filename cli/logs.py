"""Logs: structlog, one JSON object a line, ids only."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TextIO

import structlog

from cli.records import make_folder
from desk.settings import Settings


def configure_logs(settings: Settings, file: Path | None) -> None:
    """To ``file``, or to standard error. Libraries are heard from warnings on."""
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    target = opened_log(file) if file is not None else sys.stderr
    logging.basicConfig(stream=target, level=logging.WARNING, format="%(message)s")
    # Milvus Lite lacks a call that its own client tries first, and would log a trace for each
    logging.getLogger("grpc._server").setLevel(logging.CRITICAL)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(target),
    )


def opened_log(file: Path) -> TextIO:
    """At its end; a new one is readable by its owner only."""
    make_folder(file.parent)
    file.touch(mode=0o600)
    return file.open("a", encoding="utf-8")
