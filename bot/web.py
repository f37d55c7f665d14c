"""The web server: the doors of all networks, and what an operator watches."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Awaitable, Callable, Iterable, Mapping

from aiohttp import web

from desk.errors import DeskError, Misconfigured
from desk.metrics import Metrics

MAX_BODY = 2 * 1024 * 1024
PROBE_SECONDS = 2.0

Probe = Callable[[], Awaitable[object]]


def web_app(
    routes: Iterable[web.AbstractRouteDef],
    metrics: Metrics,
    probes: Mapping[str, Probe],
    refresh: Probe,
) -> web.Application:
    """``probes`` say by raising that a required part is away; ``refresh`` brings the gauges up to
    date before they are read."""

    async def healthz(_: web.Request) -> web.Response:
        return web.json_response({"ok": True})

    async def readyz(_: web.Request) -> web.Response:
        answers = {name: await _probe(probe) for name, probe in probes.items()}
        is_ready = not any(answers.values())
        return web.json_response({"ok": is_ready, **answers}, status=200 if is_ready else 503)

    async def read_metrics(_: web.Request) -> web.Response:
        await _probe(refresh)
        return web.Response(body=metrics.text(), content_type="text/plain")

    app = web.Application(client_max_size=MAX_BODY)
    app.add_routes(
        [
            web.get("/healthz", healthz),
            web.get("/readyz", readyz),
            web.get("/metrics", read_metrics),
            *routes,
        ]
    )
    return app


async def _probe(probe: Probe) -> str:
    """Empty, or what is wrong."""
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            await probe()
    except DeskError as error:
        return str(error)
    except TimeoutError:
        return f"no answer within {PROBE_SECONDS:.0f} s"
    return ""


async def listen(app: web.Application, host: str, port: int) -> web.AppRunner:
    """Serve until ``cleanup()`` of what is returned. Misconfigured when the port is taken."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=2.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        await runner.cleanup()
        if error.errno == errno.EADDRINUSE:
            raise Misconfigured(
                f"Port {port} is in use by another program (perhaps another Maildesk)."
                f" Stop that, or choose another port: MAILDESK_PORT={port + 1}"
            ) from None
        raise Misconfigured(f"Cannot listen on {host}:{port}: {error.strerror}") from None
    return runner
