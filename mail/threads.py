"""Which conversation a mail belongs to. Pure: the store looks up what these say."""

from __future__ import annotations

import re
from datetime import timedelta

from desk.email import ParsedEmail

MAX_ANCESTORS = 50
MAX_AGE = timedelta(days=14)
MIN_KEY = 8

# What clients put before a subject they answer (left) or forward (right).
REPLIES = (
    "re|aw|antw|antwort|sv|vs|rif|r|ynt|cevap|odp|vá|válasz|atb|ats|hl|απ|σχετ|отв|ответ|回复|回覆|答复"
    "|答覆|返信|답장|回"
)
FORWARDS = (
    "fw|fwd|wg|tr|i|enc|vl|pd|továbbítás|fs|vb|doorst|rv|iz|ilt|πρθ|переслано|пер"
    "|转发|轉寄|転送|전달"
)
COUNTER = r"(?:\s?[\[(（]\d{1,3}[\])）]|\^\d{1,3}|\*\d{1,3}|\d{1,2})?"
REPLY_PREFIX = re.compile(rf"\s*(?:{REPLIES}){COUNTER}\s?[:：]", re.I)
PREFIX = re.compile(rf"\s*(?:{REPLIES}|{FORWARDS}){COUNTER}\s?[:：]\s*", re.I)
TAG = re.compile(r"\s*[\[【(][^\[\]【】()]{0,60}[\]】)]\s*")
NUMBERED_TAG = re.compile(r"\[[^\[\]#]{0,40}#\s?\w{0,8}-?\d{1,20}[^\[\]]{0,20}\]")
TRAILER = re.compile(r"\s*\((?:fwd|fw)\)\s*$|\s*\[(?:external|extern|externe)\]", re.I)
GENERIC = frozenset(
    word.strip()
    for line in """
    question|hello|hi|help|test|order|invoice|request|inquiry|enquiry|support|information|info
    no subject|none|problem|issue|urgent|important|contact|feedback|message|update|reminder
    thanks|thank you|payment|refund|complaint|frage|hallo|hilfe|bestellung|rechnung|anfrage
    kein betreff|wichtig|dringend|kontakt|erinnerung|danke|reklamation|bonjour|aide|commande
    facture|demande|sans objet|demande d'information|rappel|merci|hola|ayuda|pedido|factura
    consulta|sin asunto|gracias|ciao|aiuto|ordine|fattura|richiesta|nessun oggetto
    informazioni|vraag|bestelling|factuur|geen onderwerp|dúvida|fatura|sem assunto|ordre
    faktura|spørgsmål|fråga|beställning|ingen emne|inget ämne|zamówienie|pytanie|brak tematu
    new message|contact form|kontaktformular|customer service|kundenservice|customer support
    my order|meine bestellung|my account|mein konto|order status|important message
    quick question
    """.splitlines()
    for word in line.split("|")
)


def subject_key(subject: str) -> str:
    """The subject without what clients and ticket systems put around it; equal for one thread."""
    text = subject[:1_000]
    while True:
        shorter = PREFIX.sub("", TRAILER.sub("", text), count=1) if PREFIX.match(text) else text
        found = TAG.match(shorter)
        if found and shorter[found.end() :].strip():
            shorter = shorter[found.end() :]
        if shorter == text:
            break
        text = shorter
    text = TRAILER.sub("", NUMBERED_TAG.sub(" ", text))
    return " ".join(text.casefold().split()).strip(" .:!-–")


def is_reply(subject: str) -> bool:
    """Whether the subject says that it answers something; tags may stand before the prefix."""
    text = subject[:1_000]
    while found := TAG.match(text):
        text = text[found.end() :]
    return bool(REPLY_PREFIX.match(text))


def ancestors(parsed: ParsedEmail) -> tuple[str, ...]:
    """The Message-IDs it answers, the nearest first (RFC 5322 §3.6.4)."""
    nearest = (parsed.in_reply_to, *reversed(parsed.references))
    unique = dict.fromkeys(one for one in nearest if one and one != parsed.message_id)
    return tuple(unique)[:MAX_ANCESTORS]


def is_telling(key: str) -> bool:
    """Whether two mails with this key are likely about the same matter."""
    words = key.split()
    return len(key) >= MIN_KEY and len(words) >= 2 and key not in GENERIC


def belongs(
    parsed: ParsedEmail, candidate_subject_key: str, same_sender: bool, age: timedelta
) -> bool:
    """Whether a mail without a known ancestor goes on with a conversation by its subject.

    ``age`` is the time since the conversation's last mail. Wrong joins show one customer another
    one's matter, so everything has to fit; a mail that names ancestors we do not know and has no
    reply prefix is a new matter.
    """
    if not same_sender or abs(age) > MAX_AGE:
        return False
    key = subject_key(parsed.subject)
    if key != candidate_subject_key or not key:
        return False
    return is_telling(key) or (
        is_reply(parsed.subject) and len(key) >= MIN_KEY and key not in GENERIC
    )
