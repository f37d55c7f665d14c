"""Phones and cards go; order numbers, dates and amounts stay."""

from __future__ import annotations

import pytest

from inference.numbers import find_cards, find_phones, is_luhn


def phones(text: str) -> list[str]:
    return [text[one.start : one.end] for one in find_phones(text)]


def cards(text: str) -> list[str]:
    return [text[one.start : one.end] for one in find_cards(text)]


@pytest.mark.parametrize(
    "number",
    [
        "+1 202 456 1111",
        "+12024561111",
        "+44 (0)20 7946 0958",
        "+49 30 901820",
        "0049 30 901820",
        "+33 1 42 68 53 00",
        "+91 98765 43210",
        "(202) 456-1111",
        "202-456-1111",
        "1-202-456-1111",
        "202.456.1111",
        "020 7946 0958",
        "07700 900123",
        "030 901820",
        "030/901820",
        "0171-2345678",
        "01 42 68 53 00",
        "612 345 678",
        "(11) 91234-5678",
        "02 9374 4000",
    ],
)
def test_phone_numbers_are_found_in_their_countrys_form(number: str) -> None:
    assert phones(f"You can reach us, {number}, any day.") == [number]
    assert phones(f"({number})\n{number}.") == [number, number]


@pytest.mark.parametrize("label", ["call", "my phone is", "Tel:", "mobile", "WhatsApp", "Handy"])
def test_a_bare_number_is_a_phone_only_after_its_label(label: str) -> None:
    assert phones(f"{label} 2024561111") == ["2024561111"]
    assert phones("it was 2024561111 then") == []


@pytest.mark.parametrize(
    "text",
    [
        "order 4158726345",
        "Order no. 202-456-1111",
        "order #202-456-1111",
        "Bestellnummer 030 901820",
        "invoice 2024-000123",
        "INV-2024-00123",
        "ticket 0171-2345678",
        "on 2024-05-12 at 10:30",
        "12.05.2024 and 05/12/2024",
        "2024-05-12 10:30:00",
        "from 01.05.24 to 31.05.24",
        "costs 1 234 567.89 EUR",
        "1,234,567.00",
        "1 234 567 890",
        "EUR 12 345 678",
        "error 0x80070005",
        "E-100200300",
        "version 10.12.14.2019",
        "192.168.100.200",
        "63.102.49.29 (27) by relay",
        "kernel: [ 0.688002]",
        "panose-1:2 4 5 3 5 4 6 3 2 4",
        "0x41 0101  65",
        "0000000002",
        "between 100 and 200 of 300 400",
        "https://example.org/t/202-456-1111",
        "12 34",
        "SKU 202 456 1111",
    ],
)
def test_other_numbers_are_no_phones(text: str) -> None:
    assert phones(text) == []


@pytest.mark.parametrize(
    "number",
    [
        "4111 1111 1111 1111",
        "4111-1111-1111-1111",
        "4111111111111111",
        "4222222222222",
        "5555 5555 5555 4444",
        "2223003122003222",
        "3782 822463 10005",
        "30569309025904",
        "6011 1111 1111 1117",
        "3530111333300000",
        "6304000000000000",
        "6759649826438453",
        "4917610000000000003",
        "501800000009",
    ],
)
def test_cards_of_twelve_to_nineteen_digits_are_found(number: str) -> None:
    assert cards(f"I paid with {number}.") == [number]


@pytest.mark.parametrize(
    "text",
    [
        "4111 1111 1111 1112",
        "order 4111111111111111",
        "tracking number 6304000000000000",
        "9999 9999 9999 9995",
        "1234567890123456",
        "41111111111",
        "INV4111111111111111",
    ],
)
def test_numbers_without_an_issuer_or_check_digit_are_no_cards(text: str) -> None:
    assert cards(text) == []


def test_a_card_word_beats_an_order_word() -> None:
    assert cards("for order 5 my card 4111111111111111") == ["4111111111111111"]


def test_luhn() -> None:
    assert is_luhn("79927398713")
    assert not any(is_luhn(f"7992739871{digit}") for digit in "012456789")
