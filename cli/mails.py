"""Commands on mails in files that need models. Nothing is stored."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from cli import output, parts
from cli.output import Record
from cli.records import mailbox_settings
from desk.classification import Classification
from desk.email import Kind, ParsedEmail
from desk.response import Draft
from desk.rules import Rule, raised, tempered
from desk.settings import Settings
from inference.classify import Classifier
from inference.encoder import Encoder
from inference.evaluate import evaluate
from mail.parse_pool import ParsePool
from workers.triage import by_form


async def redact_files(settings: Settings, files: Sequence[str], is_json: bool) -> None:
    """Offsets count characters of the text as read."""
    async with parts.redactor(settings) as redactor, ParsePool(workers=1) as pool:

        async def one(raw: bytes) -> Record:
            text, known = await text_and_names(raw, pool)
            redacted = await redactor.redact(text, known)
            found = await redactor.find(text, known)
            return {
                "text": redacted.text,
                "found": [
                    {"type": f.type, "start": f.start, "end": f.end, "score": f.score}
                    for f in found
                ],
            }

        await output.run(files, one, is_json)


async def text_and_names(raw: bytes, pool: ParsePool) -> tuple[str, list[str]]:
    """A mail's text and the names in its headers; other files are text as they are."""
    text = raw.decode("utf-8", "replace")
    head = text.split("\n\n", 1)[0]
    if not any(line.lower().startswith("from:") for line in head.splitlines()):
        return text, []
    parsed = await pool.parse(raw)
    people = (parsed.sender, *parsed.to, *parsed.cc)
    return parsed.text, [person.name for person in people if person.name]


@dataclass(frozen=True, slots=True)
class WithRules:
    """A classifier whose urgency the rules may raise, as the step triage does it."""

    inner: Classifier
    rules: Sequence[Rule]

    async def classify(self, emails: Sequence[str]) -> list[Classification]:
        found = await self.inner.classify(emails)
        return [
            raised(tempered(known), text, Kind.PERSON, 1, self.rules)
            for known, text in zip(found, emails, strict=True)
        ]


async def opened_classifier(settings: Settings, encoder: Encoder) -> WithRules:
    inner = await parts.opened_classifier(settings, encoder)
    return WithRules(inner, parts.urgency_rules(settings))


async def triaged(classifier: WithRules, parsed: ParsedEmail, settings: Settings) -> Classification:
    [found] = await classifier.classify([f"{parsed.subject}\n\n{parsed.reply or parsed.text}"])
    return by_form(
        found, parsed, [one for given in mailbox_settings(settings) for one in given.addresses]
    )


async def triage_files(settings: Settings, files: Sequence[str], is_json: bool) -> None:
    classifier = await opened_classifier(settings, await parts.opened_encoder(settings))

    async with ParsePool(workers=1) as pool:

        async def one(raw: bytes) -> Record:
            return labels(await triaged(classifier, await pool.parse(raw), settings))

        await output.run(files, one, is_json)


def labels(known: Classification) -> Record:
    sentiment, urgency, category = known.sentiment, known.urgency, known.category
    return {
        "sentiment": {"label": sentiment.label, "confidence": round(sentiment.confidence, 4)},
        "urgency": {
            "label": urgency.label,
            "confidence": round(urgency.confidence, 4),
            "reasons": known.reasons,
        },
        "category": {"label": category.label, "confidence": round(category.confidence, 4)},
        "unsure": known.unsure,
    }


async def draft_files(
    settings: Settings, files: Sequence[str], is_json: bool, instruction: str
) -> None:
    """With the knowledge base of the data folder; nothing is stored."""
    encoder = await parts.opened_encoder(settings)
    classifier = await opened_classifier(settings, encoder)
    async with AsyncExitStack() as stack:
        knowledge = await stack.enter_async_context(parts.opened_knowledge(settings, encoder))
        ladder = await stack.enter_async_context(parts.opened_ladder(settings))
        redactor = await stack.enter_async_context(parts.redactor(settings))
        pool = await stack.enter_async_context(ParsePool(workers=1))
        drafter = parts.drafter(settings, knowledge, redactor, ladder)
        signature = mailbox_settings(settings)[0].signed.drafted

        async def one(raw: bytes) -> Record:
            parsed = await pool.parse(raw)
            known = await triaged(classifier, parsed, settings)
            return drafted(await drafter.draft(parsed, known, signature, instruction))

        await output.run(files, one, is_json)


def drafted(draft: Draft | None) -> Record:
    if draft is None:
        draft = Draft("", writer="none", reason="Nobody waits for an answer to this mail.")
    return {
        "reply": draft.text,
        "citations": [
            {"n": c.n, "article": c.passage.article, "passage": c.passage.text}
            for c in draft.citations
        ],
        "findings": [
            {"check": f.check, "severity": f.severity, "reason": f.reason} for f in draft.findings
        ],
        "score": draft.score,
        "writer": draft.writer,
        "reason": draft.reason,
    }


async def evaluate_file(settings: Settings, task: str, file: str) -> Record:
    """Rows of text and label, as JSON lines."""
    rows = output.json_lines(file)
    classifier = await opened_classifier(settings, await parts.opened_encoder(settings))
    return await evaluate(task, rows, classifier)
