"""The parts of a reply that are the same each time: greeting, thanks, closing, signature.

Jinja templates per language and kind of letter. They may be replaced by a team's own files of the
same names, so they run in Jinja's sandbox and see plain values only.
"""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from desk.classification import Sentiment
from desk.errors import Misconfigured
from inference.ladder import Question
from inference.language import LANGUAGES

if TYPE_CHECKING:
    from jinja2.sandbox import SandboxedEnvironment

LETTER = "letter-1"
"""Stored with drafts; changes with any template."""

_OURS = Path(__file__).parent / "templates"
_SIGNED = re.compile(
    r"\W*(?:(?:kind|best|warm)(?:est)? (?:regards|wishes)|regards|sincerely|yours|cheers|thanks"
    r"|mit (?:freundlichen|besten)|(?:freundliche|viele|beste|liebe) gr[üu]"
    r"|cordialement|bien à vous|salutations|(?:un )?cordial(?:es)? saludo|saludos|atentamente)",
    re.IGNORECASE,
)


class Letters:
    """Renders letters; a template in ``folder`` wins over ours of the same name."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folders = [folder, _OURS] if folder else [_OURS]

    @cached_property
    def _templates(self) -> SandboxedEnvironment:
        from jinja2 import FileSystemLoader, StrictUndefined
        from jinja2.sandbox import SandboxedEnvironment

        return SandboxedEnvironment(
            loader=FileSystemLoader(self._folders),
            undefined=StrictUndefined,
            autoescape=False,  # plain-text mail: "&amp;" would be sent as it stands
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def reply(self, question: Question, answer: str, foreign: str = "") -> str:
        """A reply around ``answer``; ``foreign`` is the answer's language if not the mail's."""
        return self._render("reply", question, answer=answer, foreign=foreign)

    def holding(self, question: Question) -> str:
        """An acknowledgement that claims nothing."""
        return self._render("holding", question)

    def closing(self, question: Question) -> str:
        return self._render("closing", question)

    def _render(self, kind: str, question: Question, **values: str) -> str:
        from jinja2 import TemplateError

        language = question.language if question.language in LANGUAGES else "en"
        name = f"{kind}.{language}.j2"
        try:
            text = self._templates.get_template(name).render(
                name=question.addressee,
                category=question.category.value,
                negative=question.sentiment is Sentiment.NEGATIVE,
                signature=question.signature.strip(),
                signed=bool(_SIGNED.match(question.signature)),
                **values,
            )
        except (TemplateError, TypeError, ValueError, ArithmeticError) as error:
            raise Misconfigured(f"Correct the template {name}: {error}") from error
        return re.sub(r"\n{3,}", "\n\n", text).strip()
