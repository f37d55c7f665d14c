"""Articles: how files become texts, and texts passages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from desk.errors import Misconfigured
from kb.articles import MAX_BYTES, MAX_WORDS, article, files, load, read, split
from kb.markdown import WORD, blocks


def texts(markdown: str, name: str = "a.md") -> list[str]:
    return [passage.text for passage in split(article(name, markdown))]


def headings(markdown: str) -> list[str]:
    return [passage.heading for passage in split(article("a.md", markdown))]


def words(count: int, word: str = "word") -> str:
    return " ".join(f"{word}{n}" for n in range(count)) + "."


# --- files ---


def test_a_folder_is_read_in_order_with_names_below_it(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "b.md").write_text("# B\n\ntwo")
    (tmp_path / "sub" / "a.markdown").write_text("# A\n\none")
    (tmp_path / "c.TXT").write_text("three")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    assert [(one.name, one.title) for one in load(tmp_path)] == [
        ("b.md", "B"),
        ("c.TXT", "c"),
        ("sub/a.markdown", "A"),
    ]


def test_hidden_files_and_folders_are_left_out(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    for name in (".hidden.md", ".git/x.md", "seen.md"):
        (tmp_path / name).write_text("text")
    assert [file.name for file in files(tmp_path)] == ["seen.md"]


def test_one_file_is_named_by_itself(tmp_path: Path) -> None:
    file = tmp_path / "refunds.md"
    file.write_text("# Refunds\n\ntext")
    assert [one.name for one in load(file)] == ["refunds.md"]


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("Rückgabe".encode(), "Rückgabe"),
        ("Rückgabe".encode("utf-8-sig"), "Rückgabe"),
        ("Rückgabe".encode("utf-16"), "Rückgabe"),
        ("Rückgabe – „gut“".encode("cp1252"), "Rückgabe – „gut“"),
        (b"one\r\ntwo\rthree", "one\ntwo\nthree"),
    ],
)
def test_files_of_several_encodings_are_read(tmp_path: Path, raw: bytes, text: str) -> None:
    file = tmp_path / "a.md"
    file.write_bytes(raw)
    assert read(file, tmp_path).text == text


@pytest.mark.parametrize(
    ("name", "raw", "reason"),
    [
        ("empty.md", b" \n\n", "empty.md has no text"),
        ("binary.txt", b"\x00\xff\xfe\x01", "binary.txt is no text file"),
        ("huge.md", b"x" * (MAX_BYTES + 1), "huge.md is larger than 2 MB"),
        ("picture.png", b"x", "picture.png is no article"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(
    tmp_path: Path, name: str, raw: bytes, reason: str
) -> None:
    (tmp_path / name).write_bytes(raw)
    with pytest.raises(Misconfigured, match=reason):
        load(tmp_path / name)


def test_a_folder_that_is_missing_or_empty_is_named(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="has no articles"):
        load(tmp_path)
    with pytest.raises(Misconfigured, match="nowhere does not exist"):
        load(tmp_path / "nowhere")


def test_the_hash_changes_with_the_text_only() -> None:
    assert article("a.md", "x\r\ny").sha256 == article("b.md", "x\ny").sha256
    assert article("a.md", "x").sha256 != article("a.md", "y").sha256


# --- titles and headings ---


@pytest.mark.parametrize(
    ("name", "text", "title"),
    [
        ("a.md", "intro\n\n## Second *level*\n", "Second level"),
        ("a.md", "Set\n===\n\ntext", "Set"),
        ("how-to_pay.md", "no heading", "how to pay"),
        ("sub/how-to.txt", "# not Markdown", "how to"),
        ("a.md", "```\n# code\n```\n\n# Real\n", "Real"),
    ],
)
def test_the_title_is_the_first_heading_or_the_name(name: str, text: str, title: str) -> None:
    assert article(name, text).title == title


def test_a_passage_carries_the_path_of_headings_without_the_title() -> None:
    text = (
        f"# T\n\n{words(40)}\n\n## A\n\n{words(40)}\n\n### B\n\n{words(40)}\n\n## C\n\n{words(40)}"
    )
    assert headings(text) == ["", "A", "A > B", "C"]


def test_short_sections_are_joined_and_keep_their_headings_in_the_text() -> None:
    small = f"### Small\n\n5 EUR\n\n### Large\n\n9 EUR {words(30)}"
    text = f"# T\n\n## Prices\n\n{small}\n\n## Other\n\n{words(60)}\n\n## End\n\nBye"
    passages = split(article("a.md", text))
    assert [passage.heading for passage in passages] == ["Prices", ""]
    assert passages[0].text == f"Small:\n\n5 EUR\n\nLarge:\n\n9 EUR {words(30)}"
    assert passages[1].text == f"Other:\n\n{words(60)}\n\nEnd:\n\nBye"


def test_each_answer_of_a_list_of_questions_is_a_passage() -> None:
    answers = [f"## How do I do the thing number {n}?\n\n{words(25)}" for n in range(5)]
    assert len(texts("# FAQ\n\n" + "\n\n".join(answers))) == 5


def test_an_article_of_headings_only_still_has_a_passage() -> None:
    assert texts("# Only a title") == ["Only a title"]


# --- passages ---


def test_passages_hold_at_most_200_words_and_lose_none() -> None:
    paragraphs = [words(90, f"p{n}x") for n in range(7)]
    found = texts("\n\n".join(paragraphs))
    assert max(len(text.split()) for text in found) <= MAX_WORDS
    assert " ".join(found).split() == " ".join(paragraphs).split()


def test_lists_and_code_are_not_torn() -> None:
    items = "\n".join(f"- step {n} of the {words(6)}" for n in range(12))
    code = "```sh\n" + "\n\n".join(f"run --step {n} with {words(5)}" for n in range(12)) + "\n```"
    found = texts(f"{words(100)}\n\n{items}\n\n{words(100)}\n\n{code}")
    assert any(all(f"- step {n} " in text for n in range(12)) for text in found)
    assert any(all(f"run --step {n} " in text for n in range(12)) for text in found)


def test_a_list_too_long_for_a_passage_is_cut_between_items() -> None:
    items = [f"- item {n} has {words(8)}" for n in range(40)]
    found = texts("\n".join(items))
    assert len(found) > 1
    assert "\n".join(found).split("\n") == items


def test_a_long_paragraph_is_cut_between_sentences() -> None:
    found = texts(" ".join(f"Sentence {n} says {words(10)}" for n in range(40)))
    assert all(text.startswith("Sentence") and text.endswith(".") for text in found)


def test_text_without_spaces_is_cut_too() -> None:
    found = texts("返金は五日以内に届きます。" * 100)
    assert max(len(text) for text in found) <= MAX_WORDS
    assert "".join(found) == "返金は五日以内に届きます。" * 100
    assert len(texts("x" * 50_000)) > 5


@settings(deadline=None)  # other work on the machine is no failure
@given(st.text(min_size=1, max_size=400).filter(str.strip), st.sampled_from(["a.md", "a.txt"]))
def test_any_text_splits_into_passages_of_limited_size(text: str, name: str) -> None:
    passages = split(article(name, text))
    assert passages
    assert all(len(WORD.findall(passage.text)) <= MAX_WORDS + 20 for passage in passages)


# --- Markdown to plain text ---


@pytest.mark.parametrize(
    ("markdown", "plain"),
    [
        ('see [the *terms*](https://x.org/t "T") now', "see the terms (https://x.org/t) now"),
        ("<https://x.org> and [mail](mailto:a@x.org)", "https://x.org and mail (mailto:a@x.org)"),
        ("[a@x.org](mailto:a@x.org) [top](#top)", "a@x.org top"),
        ("**bold** `code` ![a logo](x.png) \\*star\\*", "bold code a logo *star*"),
        ("one  \ntwo\nthree", "one\ntwo\nthree"),
        ("- a\n- b\n  1. c\n  2. d\n- e", "- a\n- b\n  1. c\n  2. d\n- e"),
        ("7. seven\n8. eight", "7. seven\n8. eight"),
        ("- a\n\n  more of a\n- b", "- a\n  more of a\n- b"),
        ("| A | B |\n|--|--|\n| 1 | 2 |", "A | B\n1 | 2"),
        ("    indented <b>code</b>", "indented <b>code</b>"),
        ("> quoted\n> text", "quoted\ntext"),
        ("a <b>b</b> &amp; c<!-- hidden -->", "a b & c"),
        ("---\ntitle: x\n---\ntext", "text"),
    ],
)
def test_markdown_reads_as_plain_text(markdown: str, plain: str) -> None:
    assert "\n".join(block.text for block in blocks(markdown)) == plain


def test_a_text_file_keeps_its_signs() -> None:
    assert texts("# not *a* heading\n\n- [x](y)", "a.txt") == ["# not *a* heading\n\n- [x](y)"]


def test_no_mark_of_a_link_is_left() -> None:
    nested = "[a ![b](c) [d](e)](f) [g]() [[h](i)](j)"
    assert not re.search("\0", blocks(nested)[0].text)
