"""Checks of a reply: planted wrong figures are all found, right ones never cry wolf."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from desk.email import Address, Attachment, ParsedEmail
from desk.response import Citation, Finding, Passage, Severity
from inference.checks import Review, check

PRIYA = Address("Priya Nair", "priya@lindqvist.example")
DESK = Address("Support", "support@desk.example")
MAIL = ParsedEmail(
    sender=PRIYA,
    to=(DESK,),
    cc=(Address("", "boss@lindqvist.example"),),
    subject="Order 4711 arrived broken",
    date=datetime(2026, 5, 4, 9, 30, tzinfo=UTC),
    text=(
        "Hello, order 4711 (invoice INV-2026-0042) of 3 May came broken. I paid €1,250.50 for it.\n"
        "Call me on +46 40 123 45 67 between 9:00 and 3 pm, we are 40 people here.\n"
        "My account is SE45 5000 0000 0583 9825 7466. Priya"
    ),
    reply="Hello, order 4711 of 3 May came broken. What can I do? Please call me. Priya",
    attachments=(Attachment("photo-17.jpg", "image/jpeg", 1, ""),),
)
RETURNS = Passage(
    "returns.md",
    "Returns",
    "Broken goods",
    "You may send broken goods back within 14 days. Returns cost 4,90 € in Germany and are free "
    "of charge from 1.000 € on. A discount of 15 % is never paid out. Write to "
    "returns@desk.example or see https://desk.example/returns/form for the form. The service desk "
    "is open Monday to "
    "Friday, 8:30 to 17:00. Parcels take 2-3 working days. This holds from 1 July 2026 on, "
    "version 2.4.1 of our terms. Batteries up to 100 Wh may be sent; more than twelve may not.",
)
SOURCE = Citation(1, RETURNS)


def review(text: str, **more: object) -> Review:
    settings: dict[str, object] = {"citations": (SOURCE,), "mail": MAIL, "recipients": (PRIYA,)}
    return check(text, **(settings | more))  # type: ignore[arg-type]


def of(found: Review, name: str) -> list[Finding]:
    bad = [f for f in found.findings if f.severity is not Severity.GOOD]
    return [finding for finding in bad if finding.check == name]


WRONG = [
    "You may send it back within 15 days [1].",
    "You may send it back within 14 weeks [1].",
    "You may send it back within 14 hours [1].",
    "You may send it back within three weeks [1].",
    "Sie können es innerhalb von 30 Tagen zurücksenden [1].",
    "Sie können es innerhalb von drei Wochen zurücksenden [1].",
    "Vous avez 20 jours pour le renvoyer [1].",
    "Vous avez trois semaines pour le renvoyer [1].",
    "Puede devolverlo en 10 días [1].",
    "Puede devolverlo en tres semanas [1].",
    "Returns cost €4.95 [1].",
    "Returns cost $4.90 [1].",
    "Returns cost 49,0 € [1].",
    "Der Versand kostet 5 € [1].",
    "Returns are free from 10,000 € on [1].",
    "Returns are free from 100 € on [1].",
    "There is a discount of 14 % [1].",
    "There is a discount of 25 percent [1].",
    "Es gibt 20 Prozent Rabatt [1].",
    "This holds from 2 July 2026 on [1].",
    "This holds from 1 July 2027 on [1].",
    "This holds from July 1st, 2025 on [1].",
    "Das gilt ab dem 1. August 2026 [1].",
    "Das gilt ab dem 01.08.2026 [1].",
    "C'est valable à partir du 1er août 2026 [1].",
    "Es válido desde el 1 de junio de 2026 [1].",
    "This holds from 2026-07-11 on [1].",
    "We are open until 18:00 [1].",
    "We are open until 6 pm [1].",
    "Wir haben ab 9.30 Uhr geöffnet [1].",
    "Nous sommes ouverts dès 7h30 [1].",
    "We are open on Saturday [1].",
    "Wir haben auch sonntags offen, Sonntag bis 17:00 [1].",
    "Parcels take 4-5 working days [1].",
    "Parcels take 2 to 5 days [1].",
    "About your order 4712: it can be sent back [1].",
    "About your invoice INV-2026-0043 [1].",
    "See version 2.4.2 of our terms [1].",
    "Batteries up to 160 Wh may be sent [1].",
    "The 41 people in your office can send theirs too [1].",
    "See https://desk.example/returns/other [1].",
    "See https://desk-example.test/returns/form [1].",
    "See www.evil.example for the form [1].",
    "Write to refunds@desk.example [1].",
    "We can call you on +46 40 123 45 68 [1].",
    "We pay to DE89 3704 0044 0532 0130 00 [1].",
    "Your card 4111 1111 1111 1111 was charged [1].",
    "In October the prices rise [1].",
]

RIGHT = [
    "You may send it back within 14 days [1].",
    "You may send it back within two weeks [1].",
    "You have 14 days' time [1].",
    "Sie können es innerhalb von 14 Tagen zurücksenden [1].",
    "Sie können es binnen zwei Wochen zurücksenden [1].",
    "Vous avez quatorze jours pour le renvoyer [1].",
    "Vous avez 2 semaines pour le renvoyer [1].",
    "Puede devolverlo en dos semanas [1].",
    "Returns cost €4.90 [1].",
    "Returns cost EUR 4.90 [1].",
    "Die Rücksendung kostet 4,90 Euro [1].",
    "Les retours coûtent 4,90 € [1].",
    "Returns are free from €1,000 on [1].",
    "Returns are free from 1 000 € on [1].",
    "Returns are free from 1000 € on [1].",
    "Ab 1'000 Euro ist es kostenlos [1].",
    "You paid 1.250,50 € for it.",
    "A discount of 15% is never paid out [1].",
    "Ein Rabatt von 15 Prozent wird nie ausgezahlt [1].",
    "Une remise de 15 pour cent n'est jamais versée [1].",
    "This holds from July 1st, 2026 on [1].",
    "This holds from 1 July on [1].",
    "This holds from 2026-07-01 on [1].",
    "This holds from 01/07/2026 on [1].",
    "Das gilt ab dem 1. Juli 2026 [1].",
    "Das gilt ab dem 01.07.2026 [1].",
    "C'est valable à partir du 1er juillet 2026 [1].",
    "Es válido desde el 1 de julio de 2026 [1].",
    "Your order of May 3rd came broken, you write.",
    "Ihre Bestellung vom 3. Mai kam beschädigt an.",
    "Your message of 4 May 2026 has reached us.",
    "We are open from 8:30 am to 5 pm [1].",
    "Wir haben von 8.30 Uhr bis 17 Uhr geöffnet [1].",
    "Nous sommes ouverts de 8h30 à 17h [1].",
    "Abrimos de 8:30 a 17:00 [1].",
    "We are open from Monday to Friday [1].",
    "We are open on Wednesday [1].",
    "Wir haben Montag bis Freitag geöffnet [1].",
    "Parcels take 2 to 3 days [1].",
    "Parcels take 3 working days at most [1].",
    "Pakete brauchen 2–3 Werktage [1].",
    "About your order 4711 and invoice INV-2026-0042.",
    "About your order #4711: the photo-17.jpg shows it well.",
    "See version 2.4.1 of our terms [1].",
    "All 40 people in your office may do so.",
    "We call you on 040 123 45 67 between 9 and 15:00.",
    "See desk.example/returns/form for the form [1].",
    "See https://desk.example/returns/form. [1]",
    "Write to returns@desk.example or to Support@desk.example [1].",
    "We pay to SE4550000000058398257466, as you ask.",
    "Send more than 12 batteries never [1].",
    "Do this:\n1. Pack it.\n2. Fill in the form.\n3. Send it off [1].",
    "It is second to none, and only 2 may be sent at a time.",
    "Hello <PERSON_1>, thank you.",
]


@pytest.mark.parametrize("text", WRONG)
def test_a_figure_that_no_source_knows_is_found(text: str) -> None:
    found = review(f"Hello Priya,\n\n{text}")
    assert [f for name in ("figures", "links", "personal data") for f in of(found, name)]


@pytest.mark.parametrize("text", RIGHT)
def test_a_figure_from_the_mail_or_a_source_raises_no_alarm(text: str) -> None:
    found = review(f"Hello Priya,\n\n{text}")
    assert not [f for name in ("figures", "links", "personal data") for f in of(found, name)]


def test_a_wrong_figure_beside_a_citation_blocks_and_elsewhere_warns() -> None:
    cited = of(review("Hello Priya, you have 26 days to send it back [1]."), "figures")
    assert [f.severity for f in cited] == [Severity.BLOCKING]
    assert cited[0].reason == "The duration “26 days” is in no source that the reply cites."
    alone = of(review("Hello Priya, I have seen this 26 times."), "figures")
    assert [f.severity for f in alone] == [Severity.WARNING]


def test_figures_that_are_all_known_are_said_to_be_good() -> None:
    good = [f.reason for f in review("You have 14 days, until 17:00 [1].").findings]
    assert "All 2 figures occur in the mail or an article." in good


def test_many_wrong_figures_do_not_flood_the_card() -> None:
    text = " ".join(f"It was {n} times." for n in range(200, 230))
    assert len(of(review(text), "figures")) == 6


def test_every_mark_points_to_an_article_and_every_article_is_used() -> None:
    found = of(review("You have 14 days [2], and here too [3]."), "citations")
    assert [(f.severity, f.reason[:3]) for f in found] == [
        (Severity.BLOCKING, "[2]"),
        (Severity.BLOCKING, "[3]"),
        (Severity.WARNING, "Art"),
    ]


def test_sentences_that_stand_in_their_source_are_counted() -> None:
    text = (
        "Hello Priya,\n\nYou may send broken goods back within 14 days. Parcels take 2-3 working "
        "days [1].\n\nHave a good day"
    )
    found = review(text)
    assert found.findings[0].reason == "2 sentences verified in their sources."
    assert found.score == 100


def test_half_a_sentence_is_not_what_the_source_says() -> None:
    found = review("Goods may be sent back. A discount of 15 % is [1].")
    assert not [f for f in found.findings if f.check == "sources"]


@pytest.mark.parametrize(
    ("text", "alarms"),
    [
        ("You write “of 3 May came broken”, and so it is.", 0),
        ("You write “we were promised a new one at once”, and so it is.", 1),
        ('Choose "Other ways" there.', 0),
    ],
)
def test_a_quotation_must_stand_somewhere(text: str, alarms: int) -> None:
    assert len(of(review(text), "sources")) == alarms


PROMISES = [
    "We will refund you.",
    "I will write again at 12:15.",
    "We'll send you a new one.",
    "I am going to call you.",
    "You get your money back.",
    "This is guaranteed to work.",
    "We can offer you a discount of 15 %.",
    "It is repaired by tomorrow.",
    "It is done no later than Friday.",
    "Wir werden Ihnen den Betrag erstatten.",
    "Ich melde mich wieder.",
    "Das garantieren wir Ihnen.",
    "Sie erhalten eine Gutschrift.",
    "Es ist bis morgen erledigt.",
    "Spätestens am Freitag ist es da.",
    "Nous vous rembourserons.",
    "Je vais vous rappeler.",
    "Je vous rappellerai.",
    "C'est garanti.",
    "Vous recevrez un bon d'achat.",
    "Ce sera réparé d'ici demain.",
    "Le devolveremos el importe.",
    "Le garantizamos que funciona.",
    "Le llamaré.",
    "Vamos a enviarle otro.",
    "Tendrá un reembolso.",
    "Estará listo antes del viernes.",
]
HARMLESS = [
    "Thank you for your message. I am sorry about the trouble.",
    "If this does not answer your question, simply reply to this e-mail.",
    "You can change this under Settings.",
    "We will be happy to help.",
    "Vielen Dank für Ihre Nachricht. Sie ist bei uns angekommen und wird gerade geprüft.",
    "Sie können das in den Einstellungen ändern.",
    "Merci pour votre message. Il nous est bien parvenu et nous sommes en train de l'examiner.",
    "Vous pouvez modifier cela dans les réglages.",
    "Gracias por su mensaje. Lo hemos recibido y lo estamos revisando.",
    "Puede cambiarlo en los ajustes.",
]


@pytest.mark.parametrize("text", PROMISES)
def test_a_promise_is_pointed_out(text: str) -> None:
    found = of(review(f"Hello Priya,\n\n{text}"), "promises")
    assert [f.reason for f in found] == [f"A promise: “{text}”"]


@pytest.mark.parametrize("text", HARMLESS)
def test_ordinary_sentences_are_no_promises(text: str) -> None:
    assert not of(review(f"Hello Priya,\n\n{text}"), "promises")


def test_what_an_article_says_word_for_word_is_no_promise_of_ours() -> None:
    said = "A discount of 15 % is never paid out [1]."
    assert not of(review(said), "promises")
    assert of(review("We can offer a discount of 15 % [1]."), "promises")


def test_a_placeholder_that_lost_its_brackets_blocks() -> None:
    found = of(review("Hello PERSON_1, we wrote to <ORDER2_1>. See ERROR_404."), "placeholders")
    assert [one.reason.split()[0] for one in found] == ["<ORDER2_1>", "PERSON_1"]


def test_a_torn_placeholder_of_any_kind_blocks_unless_it_is_a_code_of_ours() -> None:
    text = "Hello Priya, your number US_SSN_1 and MEMBER_ID_2 are noted."
    found = of(review(text), "placeholders")
    assert [one.reason.split()[0] for one in found] == ["MEMBER_ID_2", "US_SSN_1"]
    told = replace(MAIL, text=f"{MAIL.text} The display says MEMBER_ID_2 and US_SSN_1.")
    assert not of(review(text, mail=told), "placeholders")


def test_a_placeholder_that_is_left_over_blocks() -> None:
    found = of(review("Hello <PERSON_7>, we wrote to <EMAIL_ADDRESS_2>."), "placeholders")
    assert [f.severity for f in found] == [Severity.BLOCKING] * 2
    known = review("Hello <PERSON_7>, thank you.", allowed={"<PERSON_7>"})
    assert not of(known, "placeholders")


@pytest.mark.parametrize(
    ("address", "blocked"),
    [
        ("priya@lindqvist.example", False),
        ("Boss@Lindqvist.example", False),
        ("support@desk.example", False),
        ("ann@desk.example", False),
        ("priya@lindqvist.example.test", True),
        ("somebody@else.example", True),
    ],
)
def test_only_people_of_the_conversation_may_receive_it(address: str, blocked: bool) -> None:
    found = review("Hello.", recipients=(Address("", address),), allowed=("ann@desk.example",))
    assert bool(of(found, "recipients")) is blocked


def test_our_signature_needs_no_other_source() -> None:
    signature = "Ann Berg\nExample Ltd, +44 20 7946 0018, https://desk.example, est. 1987"
    text = f"Hello Priya,\n\nYou have 14 days [1].\n\nKind regards\n{signature}"
    assert of(review(text), "personal data")
    found = review(text, allowed=(signature,))
    assert not [f for f in found.findings if f.severity is not Severity.GOOD]


def test_another_language_than_the_mails_is_a_warning() -> None:
    text = "Guten Tag, Sie können die beschädigte Ware innerhalb von 14 Tagen zurücksenden [1]."
    assert of(review(text), "language")[0].reason == "The reply is in German, the mail in English."
    assert not of(review("You may send broken goods back within 14 days [1]."), "language")


def test_length_is_judged() -> None:
    assert of(review("Yes."), "length")
    assert of(review("Word after word. " * 200), "length")
    empty = review("  ")
    assert (empty.score, empty.findings[0].severity) == (0, Severity.BLOCKING)


def test_the_score_follows_its_formula() -> None:
    verbatim = review("You may send broken goods back within 14 days [1].")
    reworded = review("You have fourteen days to send the broken goods back to us [1].")
    uncited = review("Thank you for your message, which has reached us well.", citations=())
    warned = review("Thank you, and we will call you as soon as we can.", citations=())
    blocked = review("Thank you, and write to nobody@evil.example if you can.", citations=())
    scores = [r.score for r in (verbatim, reworded, uncited, warned, blocked)]
    assert scores == [100, 80, 60, 48, 20]


def test_a_review_takes_milliseconds() -> None:
    long = "Hello Priya,\n\n" + "You may send broken goods back within 14 days [1]. " * 20
    review(long)
    started = time.process_time()
    for _ in range(20):
        review(long)
    assert (time.process_time() - started) / 20 < 0.015  # 4 ms on a quiet machine


@pytest.mark.parametrize(
    "blob", ["a", "1", "1.", "a.", "a-1", "@", "<", "[1]", "0 ", "€1 ", "May 1", "**a ", "[b]("]
)
def test_a_mail_made_to_stall_the_checks_does_not(blob: str) -> None:
    started = time.process_time()
    review(f"Hello 14 {blob * 2000}", mail=ParsedEmail(sender=PRIYA, text=blob * 20_000))
    assert time.process_time() - started < 3


@given(st.text(max_size=400), st.text(max_size=400))
def test_any_text_can_be_reviewed(text: str, mail: str) -> None:
    found = check(text, (SOURCE,), ParsedEmail(text=mail, reply=mail), (), ())
    assert 0 <= found.score <= 100


@given(st.text(alphabet="0123456789.,-/: €%hapmTage[]<>_@+", max_size=60))
def test_a_reply_that_repeats_its_source_has_no_wrong_figures(text: str) -> None:
    found = check(f"x {text} x", (), ParsedEmail(text=f"x {text} x"), (), ())
    assert not [f for f in found.findings if f.check == "figures" and f.severity != Severity.GOOD]
