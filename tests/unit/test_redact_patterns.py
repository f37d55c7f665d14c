"""The expressions find what they are for, and leave what the answer needs."""

from __future__ import annotations

import time

import pytest
import regex

from inference.patterns import PATTERNS

FLAGS = regex.IGNORECASE | regex.MULTILINE


def finds(kind: str, text: str) -> list[str]:
    return [
        match[0]
        for expression, _ in PATTERNS[kind]
        for match in regex.finditer(expression, text, FLAGS)
    ]


@pytest.mark.parametrize(
    "address",
    [
        "ann@example.org",
        "ann.lee+x@mail.example.co.uk",
        "ann@intranet.local",
        "ann@localhost",
        "jürgen@exämple.de",
        "o'neil_1@example.org",
    ],
)
def test_email_addresses(address: str) -> None:
    assert finds("EMAIL_ADDRESS", f"<{address}>, or: {address}.") == [address, address]


def test_a_handle_is_no_email_address() -> None:
    assert finds("EMAIL_ADDRESS", "@ann at example.org, a @ b") == []


@pytest.mark.parametrize(
    "address",
    [
        "221B Baker Street, London NW1 6XE",
        "1600 Pennsylvania Avenue NW, Washington, DC 20500",
        "12 oak street",
        "742 Evergreen Terrace, Springfield",
        "350 5th Ave, New York, NY 10118",
        "77 Massachusetts Ave, Apt 5",
        "Hauptstraße 5a, 10115 Berlin",
        "Kurfürstendamm 21, 10719 Berlin",
        "Lange Str. 4",
        "Prinsengracht 263, 1016 GV Amsterdam",
        "12 bis, rue de la Paix, 75002 Paris",
        "5 avenue des Champs-Élysées",
        "Calle de Alcalá 42, 28014 Madrid",
        "Via Roma, 10",
        "PO Box 1234",
        "Postfach 1234",
    ],
)
def test_street_addresses_are_found_whole(address: str) -> None:
    assert address in finds("STREET_ADDRESS", f"Send it to {address}. Thanks")


def test_what_follows_my_address_is_found_to_the_end_of_the_line() -> None:
    text = "My new address is Villa Sonnenschein 3, Gartenweg\nOrder 17"
    assert "Villa Sonnenschein 3, Gartenweg" in finds("STREET_ADDRESS", text)


@pytest.mark.parametrize(
    "text",
    [
        "I ordered 5 units on the way home",
        "after 3 days the scanner is dead",
        "2 more orders in the street",
        "Error 500 in place 3",
        "my email address is wrong, order 12345",
        "I waited 20 minutes by the road",
        "a laptop with a Via C3",
        "Order 4711 from May 5, 2024",
    ],
)
def test_no_street_address(text: str) -> None:
    assert finds("STREET_ADDRESS", text) == []


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Hello, my name is Ann Lee and I", "Ann Lee"),
        ("Ich heiße Jürgen Müller.", "Jürgen Müller"),
        ("as Mr. O'Neil said", "O'Neil"),
        ("Frau Dr. Merkel ist da", "Dr. Merkel"),
        ("Hi Maria,\n\nthanks", "Maria"),
        ("> Dear Ann van der Berg!\n", "Ann van der Berg"),
        ("Kind regards,\n\nAnn Lee\nAcme", "Ann Lee"),
        ("Thanks\nBob", "Bob"),
        ("Viele Grüße\r\nJürgen\r\n", "Jürgen"),
    ],
)
def test_persons_where_they_are_named(text: str, name: str) -> None:
    assert name in finds("PERSON", text)


@pytest.mark.parametrize(
    "text",
    [
        "Thanks for the quick reply",
        "my name is wrong on the invoice",
        "hi there,",
        "Best\nof",
        "MS Sans Serif",
    ],
)
def test_no_person(text: str) -> None:
    assert finds("PERSON", text) == []


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("SSN 219-09-9999", "219-09-9999"),
        ("passport no. X1234567", "X1234567"),
        ("My passport number is AB 123 456", "AB 123 456"),
        ("driver's license: D123-4567-8901", "D123-4567-8901"),
        ("NHS number 943 476 5919", "943 476 5919"),
        ("PESEL: 44051401359", "44051401359"),
        ("Steuer-ID 12 345 678 901", "12 345 678 901"),
    ],
)
def test_numbers_that_their_label_calls_personal(text: str, number: str) -> None:
    assert finds("ID_NUMBER", text) == [number]


def test_a_number_stays_without_such_a_label() -> None:
    assert finds("ID_NUMBER", "order X1234567, error 943 476 5919, the passport office") == []


@pytest.mark.parametrize(
    "text", ["DOB: 12/03/1981", "born on 3 March 1981", "date of birth is March 3, 1981"]
)
def test_dates_of_birth_go_and_other_dates_stay(text: str) -> None:
    assert len(finds("DATE_OF_BIRTH", f"{text}; ordered on 12/03/2024")) == 1


@pytest.mark.parametrize("kind", sorted(PATTERNS))
@pytest.mark.parametrize(
    "unit", ["A", "1", " ", "Ab ", "a.", "1 ", "@a", "\n", "> ", "12 Ab ", "my address ", "born "]
)
def test_no_text_makes_an_expression_slow(kind: str, unit: str) -> None:
    text = unit * (60_000 // len(unit))
    start = time.process_time()
    finds(kind, text)
    assert time.process_time() - start < 2
