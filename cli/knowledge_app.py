"""``kb add|search|list|remove|evaluate`` on the command line: the knowledge base."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from cli.options import Data, IsJson
from desk.settings import read_settings

app = typer.Typer(help="The knowledge base.", no_args_is_help=True)


@app.command("add")
def add(paths: list[Path], is_json: IsJson = False, data: Data = None) -> None:
    """Add or renew articles: Markdown files, or folders of them."""
    from cli import knowledge, output

    output.show([asyncio.run(knowledge.add(read_settings(data=data), paths))], is_json)


@app.command("search")
def search(
    query: str,
    k: Annotated[int, typer.Option("-k", help="How many passages.", min=1)] = 4,
    is_json: IsJson = False,
    data: Data = None,
) -> None:
    """The passages that may answer a question."""
    from cli import knowledge, output

    output.show(asyncio.run(knowledge.search(read_settings(data=data), query, k)), is_json)


@app.command("list")
def list_all(is_json: IsJson = False, data: Data = None) -> None:
    """The articles."""
    from cli import knowledge, output

    rows = asyncio.run(knowledge.listed(read_settings(data=data)))
    output.show_list(rows, ("name", "title", "passages"), is_json, "There are no articles: kb add")


@app.command("remove")
def remove(name: str, is_json: IsJson = False, data: Data = None) -> None:
    """Remove an article."""
    from cli import knowledge, output

    output.show([asyncio.run(knowledge.remove(read_settings(data=data), name))], is_json)


@app.command("evaluate")
def evaluate(file: str, is_json: IsJson = False, data: Data = None) -> None:
    """How often the right article is found; JSON lines with question and article."""
    from cli import knowledge, output

    output.show([asyncio.run(knowledge.evaluated(read_settings(data=data), file))], is_json)
