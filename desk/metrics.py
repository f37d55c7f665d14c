"""Counters and timings for /metrics. Labels are step and network names, never mail."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from desk.steps import Step


class Metrics:
    """One registry per process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.seconds = Histogram(
            "maildesk_step_seconds", "How long jobs took", ["step"], registry=self.registry
        )
        self.errors = Counter(
            "maildesk_step_errors", "Jobs that raised", ["step", "error"], registry=self.registry
        )
        self.tickets = Gauge("maildesk_tickets", "Tickets", ["state"], registry=self.registry)
        self.queued = Gauge(
            "maildesk_queue_jobs", "Jobs in the queue", ["step", "where"], registry=self.registry
        )

    @contextmanager
    def timed(self, step: Step) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        except Exception as error:
            self.errors.labels(step, type(error).__name__).inc()
            raise
        finally:
            self.seconds.labels(step).observe(time.perf_counter() - start)

    def text(self) -> bytes:
        """In Prometheus' text format."""
        return generate_latest(self.registry)
