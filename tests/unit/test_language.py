"""Sentences as customers write them, typed by hand, each with its language."""

from __future__ import annotations

import time

import pytest

from inference.language import detect

ENGLISH = """
I can't log in since this morning.
Where is my order?
Please cancel my subscription.
Thanks, that worked!
Any update?
The app crashes when I open the settings page.
Could you send me the invoice for March?
My card was charged twice.
How do I reset my password?
Still waiting for a reply to my last message.
We are forty people and nobody in the office can work.
Do you offer a discount for schools?
The parcel arrived damaged, I want my money back.
hi, wrong size, can i swap it?
I would like to change the address on my account.
Please call me back as soon as possible.
Is there a way to export all contacts to CSV?
"""
GERMAN = """
Ich kann mich seit heute Morgen nicht mehr anmelden.
Wo bleibt meine Bestellung?
Bitte kündigen Sie mein Abo.
Danke, hat geklappt!
Gibt es schon etwas Neues?
Die App stürzt ab, wenn ich die Einstellungen öffne.
Können Sie mir die Rechnung für März schicken?
Meine Karte wurde zweimal belastet.
Wie setze ich mein Passwort zurück?
Ich warte noch immer auf eine Antwort.
Rechnung 4711 ist falsch, bitte korrigieren.
Das Paket kam beschädigt an.
Hallo, falsche Größe, kann ich umtauschen?
Ich moechte meine Adresse aendern.
Bitte rufen Sie mich zurück.
Guten Tag, wann liefern Sie wieder nach Österreich?
Kann man die Kontakte als CSV exportieren?
"""
FRENCH = """
Je ne peux plus me connecter depuis ce matin.
Où est ma commande ?
Merci de résilier mon abonnement.
Merci, ça marche !
Des nouvelles ?
L'application plante quand j'ouvre les réglages.
Pouvez-vous m'envoyer la facture de mars ?
Ma carte a été débitée deux fois.
Comment réinitialiser mon mot de passe ?
J'attends toujours une réponse de votre part.
La facture est fausse.
Le colis est arrivé abîmé.
Bonjour, mauvaise taille, puis-je échanger ?
Je voudrais changer mon adresse de livraison.
Merci de me rappeler au plus vite.
Est-ce que vous livrez en Suisse ?
Impossible d'exporter les contacts en CSV.
"""
SPANISH = """
No puedo iniciar sesión desde esta mañana.
¿Dónde está mi pedido?
Por favor, cancelen mi suscripción.
Gracias, ya funciona.
¿Alguna novedad?
La aplicación se cierra cuando abro los ajustes.
¿Me pueden enviar la factura de marzo?
Me han cobrado dos veces en la tarjeta.
Cómo restablezco mi contraseña
Sigo esperando una respuesta.
La factura es incorrecta.
El paquete llegó roto.
Hola, talla equivocada, puedo cambiarla?
Quisiera cambiar mi dirección de envío.
Llámenme lo antes posible, por favor.
Hacen envíos a Canarias?
Necesito exportar los contactos a CSV.
"""
ANOTHER = """
Ik kan sinds vanochtend niet meer inloggen.
Waar blijft mijn bestelling?
Kunt u mij de factuur sturen?
Non riesco ad accedere da questa mattina.
Dov'è il mio ordine?
Vorrei annullare l'abbonamento, grazie.
Não consigo entrar na minha conta desde hoje.
Onde está o meu pedido?
Jag kan inte logga in sedan i morse.
Hvor bliver min ordre af?
Nie mogę się zalogować od rana.
Dziękuję, już działa.
Siparişim nerede?
Я не могу войти в свой аккаунт.
今朝からログインできません。
我的订单在哪里？
لا أستطيع تسجيل الدخول
Tilaukseni ei ole vielä saapunut.
4711 0815 2024
???
"""

SENTENCES = [
    (sentence, language)
    for text, language in (
        (ENGLISH, "en"),
        (GERMAN, "de"),
        (FRENCH, "fr"),
        (SPANISH, "es"),
        (ANOTHER, "other"),
    )
    for sentence in text.strip().splitlines()
]


KNOWN_MISSES = {"La factura es incorrecta."}  # reads the same in Catalan


@pytest.mark.parametrize(
    ("sentence", "language"), [pair for pair in SENTENCES if pair[0] not in KNOWN_MISSES]
)
def test_a_short_sentence_is_recognised(sentence: str, language: str) -> None:
    assert detect(sentence) == language


def test_a_miss_is_never_another_of_our_languages() -> None:
    assert {detect(sentence) for sentence in KNOWN_MISSES} == {"other"}


@pytest.mark.parametrize(
    "text", ["", "   ", "12:30", "<PERSON_1>", "https://example.com/le/la/les"]
)
def test_text_without_words_has_no_language(text: str) -> None:
    assert detect(text) == "other"


def test_links_and_placeholders_do_not_vote() -> None:
    link = "https://example.com/aide/comment-faire/le-mot-de-passe-est-perdu"
    assert detect(f"Where is it? {link} <PERSON_1>") == "en"


def test_a_long_mail_takes_under_five_milliseconds() -> None:
    mail = "Where is my order? I have been waiting since the beginning of the month. " * 300
    detect(mail)
    started = time.process_time()
    for _ in range(10):
        detect(mail)
    assert (time.process_time() - started) / 10 < 0.005
