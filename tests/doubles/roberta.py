"""A tiny RoBERTa checkpoint with random weights: ``python -m tests.doubles.roberta FOLDER``.

Made and used in its own process, because torch takes seconds to import.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from desk.errors import Misconfigured

TEXTS = ["Thanks, it works!", "", "word " * 900, "See https://example.org and @ann"]


def build(folder: Path, names: dict[int, str]) -> None:
    import torch
    from tokenizers import ByteLevelBPETokenizer
    from tokenizers.processors import RobertaProcessing
    from transformers import (
        PreTrainedTokenizerFast,
        RobertaConfig,
        RobertaForSequenceClassification,
    )

    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(TEXTS, vocab_size=300, special_tokens=special, show_progress=False)
    bos, pad, eos, unk, mask = special
    ids = {token: number for number, token in enumerate(special)}
    bpe._tokenizer.post_processor = RobertaProcessing((eos, ids[eos]), (bos, ids[bos]))
    PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=bpe._tokenizer,
        bos_token=bos,
        cls_token=bos,
        eos_token=eos,
        sep_token=eos,
        pad_token=pad,
        unk_token=unk,
        mask_token=mask,
        model_max_length=512,
    ).save_pretrained(folder)
    torch.manual_seed(0)
    config = RobertaConfig(
        vocab_size=300,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=514,
        initializer_range=1.0,
        id2label=names,
        label2id={name: number for number, name in names.items()},
    )
    RobertaForSequenceClassification(config).save_pretrained(folder)


def complaint(source: str) -> str:
    from inference.roberta import Checkpoint

    try:
        Checkpoint.open(source)
    except Misconfigured as error:
        return str(error)
    return ""


def main() -> None:
    """Print what the checkpoints say of TEXTS, together, alone and reversed."""
    from inference.roberta import Checkpoint

    folder = Path(sys.argv[1])
    named, nameless, strange = folder / "named", folder / "nameless", folder / "strange"
    build(named, {0: "Positive", 1: "Negative", 2: "Neutral"})
    build(nameless, {0: "LABEL_0", 1: "LABEL_1", 2: "LABEL_2"})
    build(strange, {0: "joy", 1: "anger", 2: "sadness"})

    def told(checkpoint: Checkpoint, texts: list[str]) -> list[tuple[str, float, bool]]:
        return [(one.label, one.confidence, one.is_sure) for one in checkpoint.judge(texts)]

    checkpoint = Checkpoint.open(str(named))
    report = {
        "name": checkpoint.name,
        "together": told(checkpoint, TEXTS),
        "alone": [told(checkpoint, [text])[0] for text in TEXTS],
        "nameless": told(Checkpoint.open(str(nameless)), TEXTS),
        "strict": told(Checkpoint.open(str(named), threshold=1.0), TEXTS),
        "strange": complaint(str(strange)),
        "absent": complaint("nobody/has-this-model"),
        "empty": complaint(str(folder)),
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
