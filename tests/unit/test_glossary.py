"""The glossary is short, in order, and about words that the code uses."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "pgqueue"
GLOSSARY = ROOT / "docs" / "internals" / "glossary.md"
LARGEST = 25
ROW = re.compile(r"^\| ([a-z][a-z ]*) \| (.+) \| `([\w/.]+)` \|$", re.MULTILINE)

ROWS = ROW.findall(GLOSSARY.read_text("utf-8"))
CODE = "\n".join(
    path.read_text("utf-8").lower()
    for suffix in ("py", "sql")
    for path in SOURCE.rglob(f"*.{suffix}")
)


def occurs(word: str, text: str) -> bool:
    """Whether a text has a word, or its plural."""
    return (
        re.search(rf"(?<![a-z]){word[:-1]}(?:{word[-1]}|{word[-1]}e?s|ies)(?![a-z])", text)
        is not None
    )


def test_it_has_few_words_each_once_and_in_order() -> None:
    words = [word for word, _, _ in ROWS]
    lines = [line for line in GLOSSARY.read_text("utf-8").splitlines() if line.startswith("|")]
    assert len(words) == len(lines) - 2, "a row that is not: word, sentence, `file`"
    assert 10 < len(words) <= LARGEST
    assert words == sorted(set(words))


@pytest.mark.parametrize(("word", "sentence", "home"), ROWS)
def test_a_word_is_used_and_explained_in_one_sentence(word: str, sentence: str, home: str) -> None:
    assert occurs(word, CODE), "no code uses it"
    assert (SOURCE / home).exists()
    assert occurs(word, sentence.lower())
    assert sentence[0].isupper()
    assert re.findall(r"[.!?](?: |$)", sentence) == ["."]


# What each of these meant has a word of the field now.
REPLACED = ("lane", "lifeline", "pulse", "handback", "salvage", "pace", "board")


@pytest.mark.parametrize("word", REPLACED)
def test_a_word_that_was_replaced_is_used_no_more(word: str) -> None:
    code = [path for suffix in ("py", "sql") for path in SOURCE.rglob(f"*.{suffix}")]
    pages = [*GLOSSARY.parent.glob("*.md"), *(GLOSSARY.parent.parent / "guide").glob("*.md")]
    texts = [path for path in (*code, *pages) if "migrations" not in path.parts]
    assert [path for path in texts if occurs(word, path.read_text("utf-8").lower())] == []


def test_a_word_occurs_as_a_whole() -> None:
    assert occurs("duty", "two duties")
    assert occurs("watch", "watches")
    assert occurs("claim", "claim_jobs")
    assert not occurs("claim", "claimer")
