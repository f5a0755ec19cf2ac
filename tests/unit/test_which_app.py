"""Which app a command is about, and what is said of a pyproject.toml that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from pgqueue.cli.which_app import Choice, choose, read_project
from pgqueue.errors import ConfigError

PROJECT = '[tool.pgqueue]\napp = "shop.jobs:app"\n'


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    (tmp_path / "deep" / "down").mkdir(parents=True)
    (tmp_path / "deep" / "pyproject.toml").write_text('[project]\nname = "pgqueue-like"\n')
    return tmp_path


@pytest.mark.parametrize(
    ("given", "environment", "target", "source"),
    [
        ("a:b", {"PGQUEUE_APP": "c:d"}, "a:b", "--app"),
        (None, {"PGQUEUE_APP": "c:d"}, "c:d", "PGQUEUE_APP"),
    ],
)
def test_the_nearest_word_counts(
    project: Path, given: str | None, environment: dict[str, str], target: str, source: str
) -> None:
    assert choose(given, environment, project) == Choice(target, source)


@pytest.mark.parametrize("where", ["", "deep", "deep/down"])
def test_the_project_is_found_upward_past_files_that_say_nothing(project: Path, where: str) -> None:
    file = str(project / "pyproject.toml")
    expected = Choice("shop.jobs:app", file, str(project))
    assert choose(None, {"PGQUEUE_APP": ""}, project / where) == expected


def test_nobody_names_one(tmp_path: Path) -> None:
    assert choose(None, {}, tmp_path) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[tool.pgqueue]\nap = "x:y"\n', 'has no setting "ap"; did you mean "app"?'),
        ("[tool.pgqueue]\nqueue = 1\n", 'has no setting "queue"; there is app'),
        ("[tool.pgqueue]\napp = 3\n", 'must be a string like "shop.jobs:app", got 3'),
        ('[tool.pgqueue]\napp = ""\n', 'must be a string like "shop.jobs:app"'),
        ("[tool]\npgqueue = 1\n", "tool.pgqueue must be a table"),
        ("[tool.pgqueue\n", "p.toml cannot be read: "),
    ],
)
def test_a_wrong_project_file_is_named(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        read_project(text, "p.toml")
    assert str(error.value).startswith("p.toml")
    assert said in str(error.value)


def test_a_table_without_an_app_names_none() -> None:
    assert read_project("[tool.pgqueue]\n", "p.toml") is None
    assert read_project("tool = 1  # pgqueue\n", "p.toml") is None
