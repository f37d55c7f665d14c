"""Names that the mail tells are found in its text, and common words are not."""

from __future__ import annotations

import pytest

from inference.names import find_known, is_person


def values(text: str, *known: str, values: tuple[str, ...] = ()) -> set[str]:
    return {text[one.start : one.end] for one in find_known(text, known, values)}


def test_a_whole_name_is_found_in_any_case_and_spacing() -> None:
    text = "maria gonzalez, MARIA GONZALEZ and Maria\n  Gonzalez"
    assert values(text, "Maria Gonzalez") >= {
        "maria gonzalez",
        "MARIA GONZALEZ",
        "Maria\n  Gonzalez",
    }


def test_the_parts_of_a_name_are_found_with_a_capital_only() -> None:
    assert values("Maria called; Gonzalez too; rob the bank, Rob", "Maria Gonzalez", "Rob Ray") == {
        "Maria",
        "Gonzalez",
        "Rob",
    }


@pytest.mark.parametrize("name", ["Will May", "Bill Price", "Support Team", "Mark", "Al"])
def test_common_words_and_short_parts_are_no_names_alone(name: str) -> None:
    assert values("Will it work in May? The Bill and Price, Mark: Al, Support", name) == set()


def test_a_name_of_common_words_is_still_found_whole() -> None:
    assert values("It is Will May here", "Will May") == {"Will May"}


def test_names_do_not_match_inside_of_words() -> None:
    assert values("Annual Mariachi", "Ann", "Maria") == set()


def test_names_in_scripts_without_capitals_are_found_between_other_signs() -> None:
    assert values("担当の田中様へ", "田中") == {"田中"}


def test_known_addresses_and_phones_are_typed() -> None:
    text = "ann@example.org 4158726345"
    found = find_known(text, ["ann@example.org", "4158726345"])
    assert {one.type for one in found} == {"EMAIL_ADDRESS", "PHONE_NUMBER"}


def test_other_values_are_found_whole_and_not_by_their_words() -> None:
    text = "12 Oak Street is not Oak Hill"
    assert values(text, values=("12 Oak Street",)) == {"12 Oak Street"}


def test_regular_expressions_in_names_are_only_text() -> None:
    assert values("a (bob* c) d", "(bob* c)", ".*", "[[[", "a|d|e") == {"(bob* c)"}


def test_is_person() -> None:
    assert is_person("Maria")
    assert is_person("Will Smith")
    assert not is_person("Support Team")
    assert not is_person("123")
