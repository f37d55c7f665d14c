"""Commands of ``app.py`` as children that begin with everything imported: the imports of each new
interpreter would take most of a test's time. That the file itself starts is shown by Maildesk.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.doubles.maildesk import ROOT, environment

NURSERY = multiprocessing.get_context("forkserver")
NURSERY.set_forkserver_preload(["app", "cli.desk_commands", "cli.mails", "cli.parsing"])


def run(words: tuple[str, ...], variables: Mapping[str, str], out: Path, err: Path) -> None:
    """The child: its exit code is that of the command."""
    for number, file in ((1, out), (2, err)):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), number)
    sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
    os.environ.clear()
    os.environ.update(variables)
    os.chdir(ROOT)
    sys.argv = ["app.py", *words]
    from app import main

    try:
        main()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


async def command(data: Path, *words: str) -> tuple[int, list[dict[str, object]], str]:
    """Run a command: its exit code, its JSON lines, and what it said on standard error."""
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        child = NURSERY.Process(target=run, args=(words, environment(data), out, err))
        child.start()
        await asyncio.to_thread(child.join)
        said = [file.read_text() if file.exists() else "" for file in (out, err)]
    rows = [json.loads(line) for line in said[0].splitlines() if line.startswith("{")]
    return child.exitcode or 0, rows, said[1]
