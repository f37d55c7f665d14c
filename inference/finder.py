"""The process that finds personal data, with Presidio; inference.redact starts and asks it.

Presidio holds the interpreter for tens of milliseconds a mail, and pulls in torch and transformers
where they are installed: so it runs apart, and both are kept out unless the NER pipeline needs
them. A request or answer is JSON behind its length in four bytes, on standard input and output.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from desk.errors import DeskError, Misconfigured
from inference.names import find_known, is_person
from inference.numbers import find_cards, find_phones
from inference.patterns import PATTERNS, Expression, Found

if TYPE_CHECKING:
    from presidio_analyzer import AnalyzerEngine, EntityRecognizer
    from presidio_analyzer.nlp_engine import NlpEngine

LANGUAGE = "en"  # Presidio wants one; the expressions hold for several
SURE_ENOUGH = 0.4

Find = Callable[[str, Sequence[str], Sequence[str]], list[Found]]
"""Personal data in a text, given known names and other known values; spans may overlap."""


def open_finder(patterns: Mapping[str, str], ner: str = "") -> Find:
    """Loads Presidio, which takes a second or two. ``patterns`` are the customer's own, by entity
    type; ``ner`` is a spaCy pipeline's name or folder. Raises Misconfigured."""
    if not _needs_torch(ner):
        sys.modules.update({"torch": None, "transformers": None})  # type: ignore[dict-item]
    own = {kind: ((expression, 1.0),) for kind, expression in patterns.items()}
    recognizers = [*_stock(), *_of_patterns(PATTERNS), *_of_patterns(own)]
    types = {kind for recognizer in recognizers for kind in recognizer.supported_entities}
    analyzer = _analyzer(recognizers, ner)

    def find(text: str, known: Sequence[str], values: Sequence[str]) -> list[Found]:
        results = analyzer.analyze(
            text, LANGUAGE, entities=sorted(types), score_threshold=SURE_ENOUGH
        )
        found = [Found(one.entity_type, one.start, one.end, float(one.score)) for one in results]
        found = [one for one in found if _is_personal(text, one)]
        found += [*find_phones(text), *find_cards(text)]
        # a name that a greeting or closing tells is personal wherever else it stands
        told = [text[one.start : one.end] for one in found if one.type == "PERSON"]
        return [*found, *find_known(text, [*known, *told], values)]

    return find


def _stock() -> list[EntityRecognizer]:
    import tldextract
    from presidio_analyzer import predefined_recognizers as stock

    # Presidio's recogniser of e-mail addresses fetches the list of public suffixes through this at
    # the first address it sees. We use our own; this makes sure that nothing in here dials out.
    tldextract.tldextract.TLD_EXTRACTOR = tldextract.TLDExtract(cache_dir=None, suffix_list_urls=())
    kinds = (
        stock.IbanRecognizer,
        stock.IpRecognizer,
        stock.UsSsnRecognizer,
        stock.UsItinRecognizer,
        stock.UkNinoRecognizer,
        stock.EsNifRecognizer,
        stock.EsNieRecognizer,
        stock.ItFiscalCodeRecognizer,
        stock.FiPersonalIdentityCodeRecognizer,
    )
    return [kind(supported_language=LANGUAGE) for kind in kinds]


def _of_patterns(patterns: Mapping[str, Sequence[Expression]]) -> list[EntityRecognizer]:
    from presidio_analyzer import Pattern, PatternRecognizer

    return [
        PatternRecognizer(
            supported_entity=kind,
            patterns=[Pattern(kind, expression, score) for expression, score in expressions],
            supported_language=LANGUAGE,
            name=kind,
            global_regex_flags=re.IGNORECASE | re.MULTILINE,
        )
        for kind, expressions in patterns.items()
    ]


def _analyzer(recognizers: list[EntityRecognizer], ner: str) -> AnalyzerEngine:
    from presidio_analyzer import AnalyzerEngine, RecognizerRegistry

    registry = RecognizerRegistry(recognizers=recognizers, supported_languages=[LANGUAGE])
    engine = _engine(ner)
    if ner:
        registry.add_nlp_recognizer(engine)
    return AnalyzerEngine(registry=registry, nlp_engine=engine, supported_languages=[LANGUAGE])


def _engine(ner: str) -> NlpEngine:
    from presidio_analyzer.nlp_engine import NoOpNlpEngine, SpacyNlpEngine

    models = [{"lang_code": LANGUAGE, "model_name": ner}]
    if not ner:
        return NoOpNlpEngine(models)
    if _folder(ner) is None:  # Presidio would try to download it
        raise Misconfigured(
            f"The spaCy pipeline {ner} is neither installed nor a folder: install it, or correct "
            "the setting."
        )
    engine = SpacyNlpEngine(models)
    try:
        engine.load()
    except (OSError, ValueError, ImportError) as error:
        raise Misconfigured(f"The spaCy pipeline {ner} does not load: {error}") from error
    return engine


def _folder(ner: str) -> Path | None:
    """Where a pipeline's files are."""
    if Path(ner).is_dir():
        return Path(ner)
    spec = find_spec(ner) if ner.isidentifier() else None
    places = spec.submodule_search_locations if spec else None
    return Path(places[0]) if places else None


def _needs_torch(ner: str) -> bool:
    """spaCy must not be imported to ask it: importing it decides whether torch is there."""
    folder = _folder(ner) if ner else None
    configs = [*folder.glob("config.cfg"), *folder.glob("*/config.cfg")] if folder else []
    return any("transformer" in config.read_text(errors="replace") for config in configs)


_VERSION = re.compile(r"(?:\b(?:version|release|firmware|build|update|v)[ :.]{0,2}|[\w.-])$", re.I)


def _is_personal(text: str, found: Found) -> bool:
    value = text[found.start : found.end]
    if found.type == "PERSON":
        return is_person(value)
    if found.type == "IP_ADDRESS":
        return _is_public(value) and not _VERSION.search(text[: found.start][-20:])
    return bool(value.strip())


def _is_public(address: str) -> bool:
    """Does the address lead to somebody's line? 192.168.1.1 is everybody's router."""
    if address.count(":") in (1, 2):
        return False
    try:
        return ipaddress.ip_address(address.partition("/")[0].partition("%")[0]).is_global
    except ValueError:
        return False


# --- the process ---


def serve() -> None:
    """Answer until standard input ends, which it does when the asking process is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not stand between the answers
    requests = sys.stdin.buffer
    settings = _receive(requests)
    if settings is None:
        return
    try:
        find = open_finder(settings["patterns"], settings["ner"])
        find("Ann Lee, ann@example.org, +1 202 456 1111", [], [])
    except (DeskError, ImportError, OSError) as error:
        _send(answers, {"error": str(error)})
        return
    _send(answers, {"ready": True})
    while (request := _receive(requests)) is not None:
        found = find(request["text"], request["known"], request["values"])
        _send(answers, {"found": [(one.type, one.start, one.end, one.score) for one in found]})


def _receive(stream: BinaryIO) -> dict[str, Any] | None:
    length = stream.read(4)
    if len(length) < 4:
        return None
    message: dict[str, Any] = json.loads(stream.read(int.from_bytes(length)))
    return message


def _send(stream: BinaryIO, message: Mapping[str, object]) -> None:
    data = json.dumps(message).encode()
    stream.write(len(data).to_bytes(4) + data)
    stream.flush()
