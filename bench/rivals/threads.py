"""dramatiq as it comes: one process with eight threads."""

from __future__ import annotations

import sys
import threading

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from bench.rivals.meter import Meter


def broker_of(url: str) -> RedisBroker:
    broker = RedisBroker(url=url)
    dramatiq.set_broker(broker)
    return broker


def fill(url: str, n: int) -> None:
    broker = broker_of(url)

    @dramatiq.actor(broker=broker, actor_name="work")
    def work(id: int) -> None: ...

    for id in range(n):
        work.send(id)
    broker.close()


def serve(url: str, n: int) -> None:
    meter, broker, lock = Meter(n), broker_of(url), threading.Lock()

    @dramatiq.actor(broker=broker, actor_name="work")
    def work(id: int) -> None:
        with lock:
            meter.start(id)

    worker = dramatiq.Worker(broker, worker_threads=8)
    meter.ready()
    worker.start()
    threading.Event().wait()


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[3]))
