"""How long until a newcomer sees something: the page, the first card, the whole sample mailbox.

Starts ``app.py run`` in an empty folder several times and times it from outside, beside two limits:
an interpreter that only imports aiohttp, and the sum of the imports that a first draft needs.
"""

from __future__ import annotations

import sys

sys.path[0] = __file__.rpartition("bench")[0]  # in this folder, queue.py hides the standard one

import asyncio
import contextlib
import json
import os
import signal
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import aiohttp

ROOT = Path(__file__).parent.parent
RUNS = 3
PORT = 18_080
IMPORTS = "import aiohttp", "import aiohttp, onnxruntime, pymilvus, milvus_lite"


async def start(folder: Path) -> dict[str, float]:
    """Seconds from start to: page, first card with a draft, all cards, and the stop."""
    config = folder / "maildesk.toml"
    config.touch()
    environment = {**os.environ, "MAILDESK_CONFIG": str(config), "MAILDESK_DATA": str(folder / "v")}
    begin = time.perf_counter()
    command = (sys.executable, "app.py", "run", "--port", str(PORT))
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, env=environment, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    address = ""
    while "http://" not in address:
        address = (await process.stdout.readline()).decode()
    address = "http://" + address.split("http://")[1].split()[0]
    found: dict[str, float] = {}
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        async with session.get(address) as page:
            assert page.status == 200
            found["page"] = time.perf_counter() - begin
        async with session.ws_connect(
            f"http://127.0.0.1:{PORT}/ws", origin=f"http://127.0.0.1:{PORT}"
        ) as line:
            expected = len(list((ROOT / "samples" / "mailbox").glob("*.eml"))) - 1
            while "all cards" not in found:
                said = json.loads((await line.receive(timeout=120)).data)
                now = time.perf_counter() - begin
                if said["type"] == "card":
                    found.setdefault("first card", now)
                if said["type"] == "queue" and said["rows"] and "first card" not in found:
                    await line.send_json({"type": "open", "id": said["rows"][0]["id"]})
                if said["type"] == "queue" and len(said["rows"]) >= expected:
                    found["all cards"] = now
    begin = time.perf_counter()
    process.send_signal(signal.SIGINT)
    await process.wait()
    found["stop"] = time.perf_counter() - begin
    return found


def imported(code: str) -> float:
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - begin


def main() -> None:
    runs = []
    for _ in range(RUNS):
        with tempfile.TemporaryDirectory() as folder, contextlib.suppress(KeyboardInterrupt):
            runs.append(asyncio.run(start(Path(folder))))
    bare, heavy = (statistics.median(imported(code) for _ in range(RUNS)) for code in IMPORTS)
    print(f"limit: bare interpreter with aiohttp {bare:.1f} s, heaviest imports {heavy:.1f} s")
    for name in ("page", "first card", "all cards", "stop"):
        seconds = [run[name] for run in runs]
        middle = statistics.median(seconds)
        print(
            f"{name:12} {middle:6.1f} s (of {len(runs)}: {min(seconds):.1f} to {max(seconds):.1f})",
            end="",
        )
        print(f"   {middle / bare:5.1f} × bare   {middle / heavy:5.1f} × imports")


if __name__ == "__main__":
    main()
