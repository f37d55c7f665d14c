"""The writer without a language model: sentences of articles, word for word, inside a letter.

It can be wrong about what the mail asks, but never about what the articles say.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from desk.classification import Category
from desk.response import Citation, Draft, Passage
from inference.ladder import Question
from inference.language import LANGUAGES, OTHER, detect
from inference.letter import LETTER, Letters
from inference.sentences import is_list, normal, plain, units

NO_ARTICLE = "No article answers this."
LOOSE = "The article fits loosely: read whether it answers the mail."
MOST_PASSAGES = 3
NEAR = 0.1  # a passage this close to the best one may be quoted, too
WHOLE = 420  # characters; a passage up to this long is quoted whole
ROOM = 900  # characters of quotations in one reply

_SELDOM_ASK = (Category.FEEDBACK, Category.COMPLAINT)  # praise is not answered with instructions
_ACCENT = re.compile("[\u0300-\u036f]")
_WORD = re.compile(r"[^\W\d_]{3,}")
_STOP = frozenset(
    """about after again also because been before being cannot could does doing done each from
    have having hello help here into just know like made make message more much need only other
    please regards same should since some such sure tell than thank thanks that their them then
    there these they this those today very want well were what when where which while will with
    would your you the and for are can how get not was our has had did its but any all now
    aber alle auch auf aus bei bin bitte danke dann dass das dem den der des die dies doch ein eine
    einem einen einer etwas für gibt guten habe haben hallo hat hier ich ihnen ihr ihre immer ist
    jetzt kann kein keine können man mehr mein meine mich mir mit möchte nach nicht noch nur oder
    seit sehr sich sie sind tag und uns von vor war warum was weil wenn wer wie wir wird wurde zum
    zur über aux avec avez avoir bonjour ces cette comment dans des donc elle est les leur mais
    merci mon notre nous pas peut peux plus pour pouvez puis quand que quel quelle qui sans ses son
    sont sur tout très une vos votre vous algo con cuando cómo del desde donde el ella esta este
    está están gracias han hay hola las les los mas más nos para pero por porque puede puedo qué
    quiero ser sin sobre son sus tengo una uno""".split()  # noqa: SIM905
)
_LEANS = re.compile(  # a sentence that is not understood without the one before it
    r"(?:it|they|this|these|those|that|then|there|however|otherwise|also|instead|but|and|so"
    r"|in this case"
    r"|dies|diese[rs]?|danach|dann|dort|andernfalls|sonst|jedoch|aber|auch|dazu|dabei|dafür"
    r"|il|elle|ils|elles|cela|ce|cette|ces|ensuite|puis|sinon|mais|toutefois"
    r"|esto|estos|estas|luego|después|entonces|pero|también|si no|en este caso)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class _Quote:
    passage: Passage
    text: str


class Extractive:
    """Quotes what the articles say, or asks for a person when they say nothing that fits.

    ``floor``: below this similarity a passage is no answer. ``sure``: below this one it must also
    share a word with the subject, and the draft says that it fits loosely; cosine alone does not
    tell right passages from wrong ones. Chosen with MiniLM on the sample mailbox: right passages
    scored 0.49 to 0.78, wrong ones up to 0.51.
    """

    name = "extractive"

    def __init__(self, letters: Letters, floor: float = 0.4, sure: float = 0.55) -> None:
        self._letters = letters
        self._floor = floor
        self._sure = sure

    async def write(self, question: Question) -> Draft:
        if question.category is Category.SPAM:
            return self._draft("", reason="This looks like spam, so no reply was drafted.")
        quotes = _quotes(question, self._fitting(question))
        if not quotes:
            return self._hold(question)
        citations = tuple(Citation(n, quote.passage) for n, quote in enumerate(quotes, 1))
        answer = "\n\n".join(_marked(quote.text, n) for n, quote in enumerate(quotes, 1))
        foreign = _foreign(question.language, " ".join(quote.text for quote in quotes))
        text = self._letters.reply(question, answer, foreign)
        is_near = quotes[0].passage.score >= self._sure
        return self._draft(text, citations, _doubts(question, foreign, is_near))

    def _fitting(self, question: Question) -> list[Passage]:
        """The passages that may answer the mail, best first."""
        ranked = sorted(question.passages, key=lambda passage: passage.score, reverse=True)
        subject = _stems(question.subject) or _stems(question.text)
        floor = self._sure if question.category in _SELDOM_ASK else self._floor
        fitting = []
        for passage in ranked:
            shared = subject & _stems(f"{passage.title} {passage.heading} {passage.text}")
            if passage.score >= self._sure or (passage.score >= floor and shared):
                fitting.append(passage)
        return [p for p in fitting if p.score >= fitting[0].score - NEAR][:MOST_PASSAGES]

    def _hold(self, question: Question) -> Draft:
        if question.category is Category.OTHER:
            return self._draft("", reason=NO_ARTICLE)
        return self._draft(self._letters.holding(question), reason=NO_ARTICLE)

    def _draft(self, text: str, citations: tuple[Citation, ...] = (), reason: str = "") -> Draft:
        return Draft(
            text=text,
            citations=citations,
            writer=self.name,
            prompt=LETTER,
            needs_human=bool(reason),
            reason=reason,
        )


def _doubts(question: Question, foreign: str, is_near: bool) -> str:
    """Why a person should look twice, in a sentence or two; usually nothing."""
    doubts = [] if is_near else [LOOSE]
    if question.language not in LANGUAGES:
        doubts.append("The mail is in a language that there are no templates for.")
    elif foreign:
        doubts.append("The article is in another language than the mail.")
    if question.instruction:
        doubts.append("Your instruction was not followed: no language model wrote this.")
    return " ".join(doubts)


def _foreign(language: str, quoted: str) -> str:
    found = detect(quoted)
    wanted = language if language in LANGUAGES else "en"
    return "" if found in (wanted, OTHER) else found


def _quotes(question: Question, passages: Sequence[Passage]) -> list[_Quote]:
    """What to quote: of the best passage its best part, of the others what they add."""
    asked = _stems(f"{question.subject} {question.text}")
    quotes: list[_Quote] = []
    room = ROOM
    for passage in passages:
        said = {normal(unit) for quote in quotes for unit in units(quote.text)}
        answered = _stems(" ".join(quote.text for quote in quotes))
        text = _best_part(passage, asked - answered if quotes else asked, said)
        adds = not quotes or (asked - answered) & _stems(text)
        if text and adds and len(text) <= room:
            quotes.append(_Quote(passage, text))
            room -= len(text)
    return quotes


def _best_part(passage: Passage, asked: frozenset[str], said: set[str]) -> str:
    """The passage if it is short, else up to three units in a row that share most with the mail."""
    pieces = [
        unit
        for unit in units(plain(passage.text))
        if len(unit.split()) > 2 and not unit.rstrip().endswith("?") and normal(unit) not in said
    ]
    if sum(map(len, pieces)) <= WHOLE:
        return _joined(pieces)
    runs = [
        pieces[start:end]
        for start in range(len(pieces))
        for end in range(start + 1, min(start + 3, len(pieces)) + 1)
        if end == start + 1 or len(" ".join(pieces[start:end])) <= WHOLE
    ]
    return _joined(max(runs, key=lambda run: _fit(run, asked)))


def _fit(run: Sequence[str], asked: frozenset[str]) -> tuple[int, float]:
    """How many of the mail's words a run has, then how dense it is with them."""
    shared = [asked & _stems(piece) for piece in run]
    leaning = 1 if _LEANS.match(run[0]) else 0
    density = sum(map(len, shared)) - 0.5 * len(run) - leaning
    return len(frozenset().union(*shared)), density


def _joined(pieces: Sequence[str]) -> str:
    """Sentences as one paragraph; lists, and lines that lead into something, begin a new line."""
    text = ""
    for piece in pieces:
        apart = is_list(piece) or piece.endswith(":") or is_list(text.rsplit("\n", 1)[-1])
        gap = "\n" if apart else " "
        text += f"{gap}{piece}" if text else piece
    return text


def _marked(text: str, n: int) -> str:
    """Text with [n] before its last full stop."""
    body = text.rstrip()
    end = body[-1] if body[-1:] in {".", "!"} else ""
    return f"{body[: len(body) - len(end)]} [{n}]{end}"


def _stems(text: str) -> frozenset[str]:
    """The content words, cut to five letters without accents: "invoices" meets "invoice"."""
    words = (word for word in _WORD.findall(text.casefold()) if word not in _STOP)
    bare = (_ACCENT.sub("", unicodedata.normalize("NFKD", word)) for word in words)
    return frozenset(word[:5] for word in bare)
