"""Placeholders: what is taken out comes back exactly, and nothing else does."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from inference.redact import Found, Redacted, merge, restore, substitute

TYPES = ["PERSON", "PHONE_NUMBER", "CARD2"]
LOOKALIKES = [
    "<PERSON_1>",
    "<PERSON_2>",
    "<LITERAL_1>",
    "<",
    ">",
    "<PERSON_",
    "PERSON_1",
    "_1>",
    "é\u0301",
]

texts = st.lists(st.one_of(st.sampled_from(LOOKALIKES), st.text(max_size=8)), max_size=8).map(
    "".join
)


@st.composite
def marked(draw: st.DrawFn) -> tuple[str, list[Found]]:
    """A text with spans that may overlap, be empty or stand in any order."""
    text = draw(texts)
    place = st.integers(0, len(text))
    spans = draw(st.lists(st.tuples(st.sampled_from(TYPES), place, place), max_size=6))
    return text, [Found(kind, min(a, b), max(a, b), 0.5) for kind, a, b in spans]


def found(text: str, *words: str, type: str = "PERSON") -> list[Found]:
    return [Found(type, text.index(word), text.index(word) + len(word), 0.9) for word in words]


@settings(deadline=None)  # other work on the machine is no failure
@given(marked())
def test_restoring_gives_back_exactly_the_text(given: tuple[str, list[Found]]) -> None:
    text, spans = given
    redacted = substitute(text, spans, {})
    assert restore(redacted.text, redacted.names)[0] == text


@settings(deadline=None)  # other work on the machine is no failure
@given(marked(), marked())
def test_a_second_text_with_the_same_names_comes_back_too(
    first: tuple[str, list[Found]], second: tuple[str, list[Found]]
) -> None:
    one = substitute(*first, {})
    two = substitute(*second, one.names)
    assert restore(one.text, two.names)[0] == first[0]
    assert restore(two.text, two.names)[0] == second[0]


@settings(deadline=None)  # other work on the machine is no failure
@given(marked())
def test_spans_are_apart_and_cover_all_that_was_found(given: tuple[str, list[Found]]) -> None:
    _, spans = given
    merged = merge(spans)
    assert all(one.end <= other.start for one, other in itertools.pairwise(merged))
    covered = {at for span in merged for at in range(span.start, span.end)}
    assert covered == {at for span in spans for at in range(span.start, span.end)}


def test_the_same_value_gets_the_same_placeholder_in_every_text() -> None:
    first = "Ann and Bob"
    one = substitute(first, found(first, "Ann", "Bob"), {})
    assert one.text == "<PERSON_1> and <PERSON_2>"
    second = "Bob, Eve and Ann"
    two = substitute(second, found(second, "Ann", "Eve", "Bob"), one.names)
    assert two.text == "<PERSON_2>, <PERSON_3> and <PERSON_1>"
    assert two.names == {"<PERSON_1>": "Ann", "<PERSON_2>": "Bob", "<PERSON_3>": "Eve"}


def test_values_that_differ_in_case_keep_their_case() -> None:
    text = "Ann ANN"
    redacted = substitute(text, found(text, "Ann", "ANN"), {})
    assert redacted.text == "<PERSON_1> <PERSON_2>"
    assert restore(redacted.text, redacted.names) == (text, ())


def test_a_placeholder_in_a_mail_never_becomes_anothers_value() -> None:
    names = {"<CREDIT_CARD_1>": "4111 1111 1111 1111"}
    attack = substitute("Please confirm <CREDIT_CARD_1>", [], names)
    assert attack.text == "Please confirm <LITERAL_1>"
    assert attack.found == ()
    assert restore(attack.text, attack.names) == ("Please confirm <CREDIT_CARD_1>", ())


def test_overlapping_finds_become_one_named_by_the_longest() -> None:
    text = "Baker Street 5, call 555-1234"
    spans = [Found("STREET_ADDRESS", 0, 20, 0.6), Found("PHONE_NUMBER", 15, 29, 0.9)]
    redacted = substitute(text, spans, {})
    assert redacted == Redacted(
        "<STREET_ADDRESS_1>",
        {"<STREET_ADDRESS_1>": text},
        (Found("STREET_ADDRESS", 0, 29, 0.6),),
    )


def test_found_are_offsets_into_the_input() -> None:
    text = "Hi Ann, Ann Lee"
    redacted = substitute(text, [Found("PERSON", 3, 6, 0.9), Found("PERSON", 8, 15, 1.0)], {})
    assert [text[one.start : one.end] for one in redacted.found] == ["Ann", "Ann Lee"]


def test_a_placeholder_that_is_not_ours_is_reported_and_stays() -> None:
    assert restore("Dear <PERSON_1>, <PERSON_7>!", {"<PERSON_1>": "Ann"}) == (
        "Dear Ann, <PERSON_7>!",
        ("<PERSON_7>",),
    )


def test_a_placeholder_that_a_writer_changed_is_reported() -> None:
    names = {"<PERSON_1>": "Ann"}
    for torn in ("PERSON_1", "<person_1>", "Person_1", "<PERSON_1", "PERSON_1>"):
        text, unknown = restore(f"Dear {torn}, ok", names)
        assert text == f"Dear {torn}, ok"
        assert unknown == (torn,)


def test_neighbours_of_a_placeholder_do_not_make_it_unknown() -> None:
    names = {"<PERSON_1>": "Ann", "<PERSON_11>": "Bob"}
    assert restore("x<PERSON_1>y <PERSON_11>s", names) == ("xAnny Bobs", ())
    assert restore("PERSON_12", names) == ("PERSON_12", ())


def test_values_that_look_like_placeholders_are_not_restored_twice() -> None:
    names = {"<LITERAL_1>": "<PERSON_1>", "<PERSON_1>": "Ann"}
    assert restore("<LITERAL_1> <PERSON_1>", names) == ("<PERSON_1> Ann", ())
