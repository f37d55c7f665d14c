"""Options that many commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

IsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line, in input order.")]
Data = Annotated[Path | None, typer.Option(help="The folder in which everything is stored.")]
Limit = Annotated[int, typer.Option(help="How many.", min=1)]
