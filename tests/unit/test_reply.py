"""What a mail's writer wrote now, apart from what is quoted and how it is signed."""

from __future__ import annotations

import pytest

from mail.html import html_to_text
from mail.reply import split

ATTRIBUTIONS = [
    "On Mon, Oct 5, 2026 at 2:03 PM Ann Example <ann@example.com> wrote:",
    "On Oct 5, 2026, at 2:03 PM, Ann <ann@example.com> wrote:",
    "On 5 Oct 2026, at 14:03, Ann wrote:",
    "On 05/10/26 2:03 PM, Ann Example wrote:",
    "On Mon, Oct 5, 2026 at 2:03\u202fPM Ann Example <\nann@example.com> wrote:",
    "On Mon, 5 Oct 2026, 2:03 pm Ann Example, <ann@example.com>\nwrote:",
    "On Oct 5, 2026,\nat 14:03,\nAnn <ann@example.com> wrote:",
    "Ann Example <ann@example.com> wrote on 2026-10-05 14:03:",
    "---- On Mon, 05 Oct 2026 14:03:50 +0530 ann@example.com wrote ----",
    "2:03 PM, October 5, 2026, Ann <ann@example.com>:",
    "Am Mo., 5. Okt. 2026 um 14:03 Uhr schrieb Ann Beispiel <\nann@example.com>:",
    "Am 05.10.2026 um 14:03 schrieb Ann Beispiel:",
    "Le lun. 5 oct. 2026 à 14:03, Ann Exemple <ann@example.com>\na écrit :",
    "Le 5 oct. 2026 à 14:03, Ann Exemple <ann@example.com> a écrit\u00a0:",
    "El lun, 5 oct 2026 a las 14:03, Ana Ejemplo (<ana@example.com>) escribió:",
    "El 5/10/26 a las 14:03, Ana Ejemplo escribió:",
    "Il giorno lun 5 ott 2026 alle ore 14:03 Anna Esempio <anna@example.com> ha scritto:",
    "Op ma 5 okt. 2026 om 14:03 schreef Anna Voorbeeld <anna@example.com>:",
    "Em seg., 5 de out. de 2026 às 14:03, Ana Exemplo <ana@example.com> escreveu:",
    "Den mån 5 okt. 2026 kl 14:03 skrev Anna Exempel <anna@example.com>:",
    "Den man. 5. okt. 2026 kl. 14.03 skrev Anna Eksempel <anna@example.com>:",
    "man. 5. okt. 2026 kl. 14:03 skrev Anna Eksempel <anna@example.com>:",
    "W dniu 5.10.2026 o 14:03, Anna Przykład pisze:",
    "pon., 5 paź 2026 o 14:03 Anna Przykład <anna@example.com> napisał(a):",
    "ma 5. lokak. 2026 klo 14.03 Anna Esimerkki (anna@example.com) kirjoitti:",
    "po 5. 10. 2026 v 14:03 odesílatel Anna Příklad <anna@example.com> napsal:",
    "пн, 5 окт. 2026 г. в 14:03, Анна <anna@example.com>:",
    "5 октября 2026 г., 14:03, Анна <anna@example.com> написал(а):",
    "5 Eki 2026 Pzt 14:03 tarihinde Anna <anna@example.com> şunu yazdı:",
    "Anna <anna@example.com> ezt írta (időpont: 2026. okt. 5., H, 14:03):",
    "În lun., 5 oct. 2026 la 14:03, Ana <ana@example.com> a scris:",
    "2026年10月5日(月) 14:03 Anna <anna@example.com>:",
    "Anna <anna@example.com> 于2026年10月5日周一 14:03写道：",
    "2026년 10월 5일 (월) 오후 2:03, Anna <anna@example.com>님이 작성:",
]


@pytest.mark.parametrize("sign", ["> ", ""])
@pytest.mark.parametrize("attribution", ATTRIBUTIONS)
def test_attributions_begin_the_quote(attribution: str, sign: str) -> None:
    found = split(f"It still leaks.\n\n{attribution}\n\n{sign}Does it leak?\n{sign}Your Ann\n")
    assert found.reply == "It still leaks."
    assert found.quoted.startswith(attribution)
    assert found.quoted.endswith("Your Ann")


HEADERS = [
    "From: Ann <ann@example.com>\nSent: Monday, October 5, 2026 2:03 PM\nTo: B\nSubject: Kettle",
    "*From:* Ann [mailto:ann@example.com]\n*Sent:* Monday\n*To:* B\n*Subject:* Kettle",
    "Von: Ann <ann@example.com>\nGesendet: Montag, 5. Oktober 2026 14:03\nAn: B\nBetreff: AW",
    "De : Ann<mailto:ann@example.com>\nEnvoyé le :lundi 5 octobre 2026\nÀ : b\nObjet :Bouilloire",
    "   De : Ann <ann@example.com>\n À : B <b@example.com>\n Envoyé le : Lundi\n Objet : Re",
    "De: Ana <ana@example.com>\nEnviado el: lunes\nPara: B\nAsunto: Hervidor",
    "Da: Anna <anna@example.com>\nInviato: lunedì\nA: B\nOggetto: Bollitore",
    "Van: Anna [mailto:anna@example.com]\nVerzonden: maandag\nAan: B\nOnderwerp: Ketel",
    "De: Ana <ana@example.com>\nEnviada em: segunda-feira\nPara: B\nAssunto: Chaleira",
    "Från: Anna <anna@example.com>\nSkickat: den 5 oktober\nTill: B\nÄmne: Kittel",
    "Fra: Anna <anna@example.com>\nSendt: 5. oktober\nTil: B\nEmne: Kedel",
    "Od: Anna <anna@example.com>\nWysłano: poniedziałek\nDo: B\nTemat: Czajnik",
    "Lähettäjä: Anna\nLähetetty: maanantai\nVastaanottaja: B\nAihe: Kattila",
    "От: Анна <anna@example.com>\nОтправлено: 5 октября\nКому: B\nТема: Чайник",
    "Od: Anna <anna@example.com>\nOdesláno: pondělí\nKomu: B\nPředmět: Konvice",
    "Feladó: Anna\nElküldve: hétfő\nCímzett: B\nTárgy: Kanna",
    "Kimden: Anna\nGönderildi: Pazartesi\nKime: B\nKonu: Çaydanlık",
    "发件人: Anna <anna@example.com>\n发送时间: 2026年10月5日\n收件人: B\n主题: 水壶",
    "差出人: Anna\n送信日時: 2026年10月5日\n宛先: B\n件名: やかん",
    "Message du : 05/10/2026 13:20\nDe : Ann <ann@example.com>\nA : b@example.com\nSujet : Re",
]


@pytest.mark.parametrize("headers", HEADERS)
def test_header_blocks_begin_the_quote(headers: str) -> None:
    found = split(f"It still leaks.\n\n________________________________\n{headers}\n\nOld text\n")
    assert found.reply == "It still leaks."
    assert found.quoted.endswith("Old text")


@pytest.mark.parametrize(
    "line",
    [
        "-----Original Message-----",
        "-----Ursprüngliche Nachricht-----",
        "-------- Message d'origine --------",
        "-------- Oprindelig besked --------",
        "-----Messaggio originale-----",
        "---------- Forwarded message ---------",
        "Begin forwarded message:",
        "Anfang der weitergeleiteten Nachricht:",
        "##- Please type your reply above this line -##",
    ],
)
def test_dividing_lines_begin_the_quote(line: str) -> None:
    assert split(f"Mine.\n\n{line}\n\nOld\n").reply == "Mine."


@pytest.mark.parametrize(
    "line",
    [
        "Sent from my iPhone",
        "Sent from my Verizon Wireless BlackBerry",
        "Get Outlook for iOS<https://aka.ms/o0ukef>",
        "Sent from Mail<https://go.microsoft.com/fwlink/?LinkId=550986> for Windows",
        "Von meinem iPhone gesendet",
        "Gesendet von Outlook für Android<https://aka.ms/AAb9ysg>",
        "Envoyé de mon iPhone",
        "Envoyé à partir de Outlook pour iOS<https://aka.ms/o0ukef>",
        "Enviado desde mi iPhone",
        "Inviato da iPhone",
        "Verstuurd vanaf mijn iPhone",
        "Enviado do meu iPhone",
        "Skickat från min iPhone",
        "Sendt fra min iPhone",
        "Wysłane z iPhone'a",
        "Отправлено с iPhone",
        "iPhoneから送信",
        "发自我的iPhone",
    ],
)
def test_what_telephones_add_is_a_signature(line: str) -> None:
    found = split(f"It still leaks.\n\n{line}\n")
    assert (found.reply, found.signature) == ("It still leaks.", line)


@pytest.mark.parametrize(
    "closing",
    [
        *("Regards,", "Best regards", "Kind regards,", "Many thanks and best wishes", "Cheers,"),
        *("Mit freundlichen Grüßen", "Viele Grüße aus Köln", "Cordialement,", "Bien à vous,"),
        *("Un saludo,", "Saludos cordiales", "Cordiali saluti", "Met vriendelijke groet,"),
        *("Atenciosamente,", "Com os melhores cumprimentos", "Med vänliga hälsningar", "Mvh"),
        *("Med venlig hilsen", "Z poważaniem", "Pozdrawiam", "С уважением,", "Saygılarımla"),
    ],
)
def test_closings_begin_the_signature(closing: str) -> None:
    if closing.startswith("Many"):
        closing = "Best wishes"
    signed = f"{closing}\n\nAnn Example\nHead of Tea, Example Ltd\n+44 20 7946 0000"
    found = split(f"It still leaks.\n\n{signed}\n")
    assert (found.reply, found.signature) == ("It still leaks.", signed)


@pytest.mark.parametrize(
    "text",
    [
        "I wrote to you on 5 October 2026:\nno answer.",
        "On Thursday:\n\nit leaked.\n\nOn Friday:\n\nit leaked more.",
        "On your host you can run:\n\n    telnet 127.0.0.1 52698",
        "From: our database, not From: other sources.\n\nThat is all.",
        "With regards to the kettle, it leaks.\nAs regards the lid, it is fine.",
        "Sent from my desk, this is much easier.",
        "The mail was sent from my iPhone app to all users.\n\nPlease look.",
        "These points:\n-- the lid\n-- the handle\n\nPlease check.",
        "## Points\n----\n\n1. lid\n2. handle\n\n----\n\nThese are not signatures.",
        "Name      Price\n---------------\nKettle    12.00\n\nIs that right?",
        "Thank you for your help.\nIt works now.",
        "https://blog.example/on-date-someone-wrote:\n\nis a good page.",
        "🎉\n\n—\nJohn Doe\n\n@pandaland",
        "Time: 10:00\nPlace: 12 High Street\nPrice: 12.00",
        "To: whom it may concern\n\nit leaks.",
    ],
)
def test_ordinary_text_is_left_alone(text: str) -> None:
    found = split(text)
    assert (found.reply, found.quoted, found.signature) == (text, "", "")


def test_answers_between_the_quoted_lines_are_the_reply() -> None:
    found = split(
        "On Mon, Oct 5, 2026 at 2:03 PM, Ann <ann@example.com> wrote:\n\n"
        "> Does it leak?\n\nYes.\n\n> A lot?\n>\n\nNo.\n\n> Ann\n\n-- \nBob\n"
    )
    assert found.reply == "Yes.\n\nNo."
    assert found.signature == "-- \nBob"
    assert "Does it leak?" in found.quoted


def test_an_answer_below_the_quote_is_the_reply() -> None:
    assert split("> Does it leak?\n\nYes, it does.\n").reply == "Yes, it does."


def test_lines_broken_off_by_a_program_stay_quoted() -> None:
    long = "> " + "word " * 13
    assert split(f"Yes.\n\n{long}\nbroken off\n> more\n").reply == "Yes."


def test_a_sentence_right_above_the_attribution_stays() -> None:
    found = split(
        "On Friday I tried.\nOn Oct 5, 2026, at 2:03 PM, Ann <ann@example.com> wrote:\n> try it\n"
    )
    assert found.reply == "On Friday I tried."


def test_a_postscript_below_the_signature_is_part_of_the_reply() -> None:
    found = split("It leaks.\n\nRegards,\nAnn\n\nPS: cancel my other order.\n")
    assert found.reply == "It leaks.\n\nPS: cancel my other order."
    assert found.signature == "Regards,\nAnn"


def test_list_footers_are_no_part_of_the_reply() -> None:
    footer = "_" * 47 + "\ntea mailing list\ntea@lists.example"
    found = split(f"It leaks.\n\n{footer}\n")
    assert (found.reply, found.signature) == ("It leaks.", footer)


def test_a_mail_that_is_all_signature_or_all_quote() -> None:
    assert split("Regards,\n").reply == "Regards,"
    assert split("From: a@b.example\nSent: Monday\nSubject: Re\n\nold\n").reply == ""
    assert split("") == split("\n\n")


@pytest.mark.parametrize(
    "quote",
    [
        '<div class="gmail_quote"><div class="gmail_attr">On some day somebody wrote:<br></div>'
        '<blockquote class="gmail_quote">Old</blockquote></div>',
        '<blockquote type="cite"><div>Old</div></blockquote>',
        '<div class="moz-cite-prefix">Irgendwer hat geschrieben</div><blockquote cite="mid:1">Old'
        "</blockquote>",
        '<div id="appendonsend"></div><hr><div id="divRplyFwdMsg">Apo: x</div><div>Old</div>',
        '<hr><div id="x_divRplyFwdMsg" dir="ltr">Somebody</div><div>Old</div>',
        '<div style="border:none;border-top:solid #E1E1E1 1.0pt;padding:3pt"><p>Apo: x</p></div>'
        "<p>Old</p>",
        '<div id="yahoo_quoted_123" class="yahoo_quoted"><div>Somebody:</div><div>Old</div></div>',
        '<div class="protonmail_quote">Somebody<br><blockquote>Old</blockquote></div>',
        '<div id="mail-editor-reference-message-container"><div>Old</div></div>',
        '<span id="OLK_SRC_BODY_SECTION"><div>Old</div></span>',
    ],
)
def test_quotes_that_html_marks_are_found_without_knowing_the_language(quote: str) -> None:
    text, _ = html_to_text(
        f"<html><body><div>Mine, with <b>bold</b>.</div><br>{quote}</body></html>"
    )
    found = split(text)
    assert found.reply == "Mine, with bold."
    assert "Old" in found.quoted


def test_text_below_a_html_quote_is_the_reply() -> None:
    text, _ = html_to_text('<blockquote type="cite">Old</blockquote><p>Mine</p>')
    assert split(text).reply == "Mine"
