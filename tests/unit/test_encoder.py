"""The exported encoder: its vectors, its independence of neighbours, and what it refuses."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from desk.errors import Misconfigured
from inference.encoder import LAYERS, MANIFEST, MODEL, TOKENIZER, Encoder
from inference.export import export
from tests.services import need_file

ROOT = Path(__file__).parents[2]
TEXTS = [
    "Where can I find my invoice?",
    "How do I download a bill?",
    "The printer is on fire.",
    "",
    "😀 Größe naïve 你好",
    "word " * 3000,
]


@pytest.fixture(scope="module")
def folder() -> Path:
    return need_file(ROOT / "build/encoder" / MANIFEST, "make setup").parent


@pytest.fixture(scope="module")
def encoder(folder: Path) -> Encoder:
    return Encoder.open(folder)


def test_vectors_have_length_one_and_their_number(encoder: Encoder) -> None:
    vectors = encoder.embed(TEXTS)

    assert vectors.shape == (len(TEXTS), Encoder.dimension)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)
    assert encoder.embed([]).shape == (0, Encoder.dimension)


def test_like_texts_have_like_vectors(encoder: Encoder) -> None:
    invoice, bill, fire = encoder.embed(TEXTS[:3])

    assert invoice @ bill > 0.4 > 0.2 > invoice @ fire


def test_the_vector_is_the_last_of_the_layers(encoder: Encoder) -> None:
    layers = encoder.layers(TEXTS)

    assert layers.shape == (len(TEXTS), len(LAYERS), Encoder.dimension)
    assert np.linalg.norm(layers, axis=2) == pytest.approx(1, abs=1e-5)
    assert np.array_equal(layers[:, -1], encoder.embed(TEXTS))
    assert abs(layers[0, 0] @ layers[0, -1]) < 0.9


def test_a_text_has_the_same_vector_in_any_company(encoder: Encoder) -> None:
    together = encoder.embed(TEXTS)
    reversed_ = encoder.embed(TEXTS[::-1])[::-1]
    alone = np.concatenate([encoder.embed([text]) for text in TEXTS])

    assert together == pytest.approx(reversed_, abs=1e-6)
    assert together == pytest.approx(alone, abs=1e-6)


def test_threads_share_one_encoder(folder: Path) -> None:
    encoder = Encoder.open(folder, threads=2)
    expected = encoder.embed(TEXTS)

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(encoder.embed, [TEXTS] * 8))

    assert all(np.allclose(result, expected, atol=1e-6) for result in results)


def test_only_the_first_256_tokens_are_read(encoder: Encoder) -> None:
    long, longer = encoder.embed(["word " * 300, "word " * 300 + "an end that nobody reads"])

    assert long == pytest.approx(longer, abs=1e-6)


def test_the_encoder_runs_without_torch(folder: Path) -> None:
    code = f"""
import sys
from pathlib import Path
from inference.encoder import Encoder
Encoder.open(Path({str(folder)!r})).embed(["hello"])
import inference.classify, inference.heads, inference.evaluate, inference.roberta, inference.train
print([name for name in ("torch", "transformers", "sklearn", "onnx") if name in sys.modules])
"""
    told = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert told.stdout.strip() == "[]"


def test_an_encoder_that_was_not_exported_says_how(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"make setup.*inference\.export"):
        Encoder.open(tmp_path / "nowhere")


@pytest.mark.parametrize("name", [MODEL, TOKENIZER])
def test_a_file_that_is_not_the_exported_one_is_refused(
    folder: Path, tmp_path: Path, name: str
) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "encoder"))
    with (copy / name).open("r+b") as file:
        file.seek(1000)
        file.write(b"\0changed")

    with pytest.raises(Misconfigured, match=f"{name} is not the file that was exported"):
        Encoder.open(copy)
    (copy / name).unlink()
    with pytest.raises(Misconfigured, match=name):
        Encoder.open(copy)


@pytest.mark.parametrize("manifest", ["", "[]", "{}", '{"sha256": 3}'])
def test_a_damaged_manifest_is_refused(tmp_path: Path, manifest: str) -> None:
    (tmp_path / MANIFEST).write_text(manifest, "utf-8")

    with pytest.raises(Misconfigured, match="damaged"):
        Encoder.open(tmp_path)


def test_exporting_again_leaves_a_good_folder_alone(folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "encoder"))
    before = (copy / MODEL).stat().st_mtime_ns

    assert export(copy) == copy
    assert (copy / MODEL).stat().st_mtime_ns == before
    assert [path.name for path in tmp_path.iterdir()] == ["encoder"]


@pytest.mark.slow
def test_exporting_repairs_a_damaged_folder_as_a_whole(folder: Path, tmp_path: Path) -> None:
    """In its own process, because torch takes seconds to import."""
    copy = tmp_path / "encoder"
    copy.mkdir()
    (copy / MANIFEST).write_text("{}", "utf-8")
    subprocess.run(
        [sys.executable, "-m", "inference.export", str(copy)],
        cwd=ROOT,
        check=True,
        timeout=50,
        capture_output=True,
    )

    fresh, ours = Encoder.open(copy), Encoder.open(folder)

    assert [path.name for path in tmp_path.iterdir()] == ["encoder"]
    assert {path.name for path in copy.iterdir()} == {MANIFEST, MODEL, TOKENIZER}
    assert fresh.embed(TEXTS) == pytest.approx(ours.embed(TEXTS), abs=0.02)
    assert json.loads((copy / MANIFEST).read_text("utf-8"))["origin"] == ours.origin
