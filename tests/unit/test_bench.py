"""The measurements can be run by their path as well as by their module's name."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "bench"
OUT = 'sys.path[0] = __file__.rpartition("bench")[0]'


@pytest.mark.parametrize("script", sorted(BENCH.glob("*.py")), ids=lambda path: path.name)
def test_no_script_takes_bench_queue_for_the_standard_module(script: Path) -> None:
    """A script's folder comes first (docs.python.org, sys.path), and asyncio imports queue."""
    said, future, imported, moved, *_ = ast.parse(script.read_text("utf-8")).body
    assert isinstance(said, ast.Expr)
    assert isinstance(future, ast.ImportFrom)
    assert ast.unparse(imported) == "import sys"
    assert ast.unparse(moved).replace("'", '"') == OUT
