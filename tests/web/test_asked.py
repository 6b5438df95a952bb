"""What a page asks for becomes the library's own prompts, words and settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from photowords import fields
from photowords.concept import Concept, Word
from photowords.errors import UserError
from photowords.naming import AROUND
from photowords.prompts import parse, typed
from photowords.settings import GenerateSettings, InvertSettings
from photowords.starts import STARTS
from photowords.web import asked, forms
from photowords.web.config import Config, prepare
from photowords.web.runs import Runs


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    """Three runs of one name; the sentences of the second and third say a word twice."""
    sentences = {"one": ["red", "mug"], "two": ["the", "cat", "on", "the", "mat"], "three": ["cat,", "black", "cat"]}
    for run, words in sentences.items():
        (tmp_path / run).mkdir()
        about = {
            "name": "mug",
            "model": "pocket",
            "sentence": " ".join(words),
            "words": [[word, True] for word in words],
        }
        record = {"settings": {"steps": 4}, "about": about}
        (tmp_path / run / "settings.json").write_text(json.dumps(record))
        (tmp_path / run / "start.safetensors").touch()
    return Runs(Config(tmp_path, tmp_path))


def uses(*told: str) -> list[Any]:
    return [{"use": one} if one in ("learned", "plain") else {"use": "another", "text": one} for one in told]


def test_a_prompt_of_pieces_is_typed_as_on_the_command_line(runs: Runs) -> None:
    pieces = [
        "a ",
        {"run": "one", "words": uses("plain", "tea cup")},
        " and ",
        {"run": "two", "words": uses(*["learned"] * 5)},
        " here",
    ]
    found = asked.prompt(pieces, runs)
    assert found.typed == "a {mug:red=red,mug=tea cup} and {mug-2} here"
    assert found.readable == "a red tea cup and the cat on the mat here"
    assert {name: path.name for name, path in found.concepts.items()} == {"mug": "one", "mug-2": "two"}


def test_a_prompt_is_read_as_it_is_drawn(runs: Runs) -> None:
    """A word that follows on another is one of its own, as ``prompts.parse`` has it."""
    pieces = ["a photo of a", {"run": "one", "words": uses("learned", "learned")}, "on the beach", ", at night"]
    assert asked.prompt(pieces, runs).readable == "a photo of a red mug on the beach, at night"


def test_the_name_of_a_run_in_the_trash_is_not_given_again(runs: Runs, tmp_path: Path) -> None:
    prepare(Config(tmp_path, tmp_path))
    first = runs.new("mug")
    assert first.name == "mug-1"
    runs.throw_away(first)
    assert not first.exists() and [runs.new("mug").name for _ in range(2)] == ["mug-2", "mug-3"]
    (thrown,) = Config(tmp_path, tmp_path).trash.iterdir()
    assert thrown.name.endswith("-mug-1")
    assert runs.new("my-mug").name == "my-mug-1"


@pytest.mark.parametrize("mark", AROUND.strip() + "?")
def test_the_page_and_the_command_line_learn_the_same_words(mark: str) -> None:
    (word,) = asked.words([{"text": f"mug{mark}"}])
    assert word[0] == typed(f"mug{mark}")


def test_a_word_that_stands_twice_is_named_by_its_place(runs: Runs) -> None:
    pieces = [{"run": "two", "words": uses("learned", "dog", "learned", "a", "learned")}]
    assert asked.prompt(pieces, runs).typed == "{mug:cat=dog,<3>=a}"


@pytest.mark.parametrize(
    ("told", "typed", "read"),
    [
        (("learned", "learned", "mug"), "{mug-3:<2>=mug}", [0, 1, "mug"]),
        (("dog", "learned", "mug"), "{mug-3:<0>=dog,<2>=mug}", ["dog,", 1, "mug"]),
        (("plain", "learned", "learned"), "{mug-3:<0>=cat}", ["cat,", 1, 2]),
        (("learned", "plain", "learned"), "{mug-3:black=black}", [0, "black", 2]),
    ],
)
def test_words_that_differ_in_their_marks_alone_are_not_taken_for_each_other(
    runs: Runs, told: tuple[str, ...], typed: str, read: list[str | int]
) -> None:
    """What the library reads is what the page said: "cat," and "cat" are one word to it."""
    others = [{"run": "one", "words": uses(*["learned"] * 2)}, {"run": "two", "words": uses(*["learned"] * 5)}]
    found = asked.prompt([*others, {"run": "three", "words": uses(*told)}], runs)
    assert found.typed.endswith(typed)
    words = tuple(Word(text, {"clip_l": torch.zeros(1, 4)}) for text in ("cat,", "black", "cat"))
    pieces = parse(typed, {"mug-3": Concept("mug-3", words)})
    assert [piece.strip() if isinstance(piece, str) else piece.word for piece in pieces] == read


@pytest.mark.parametrize(
    ("pieces", "said"),
    [
        ([{"run": "one", "words": uses("learned")}], "that run has 2 words, not 1"),
        ([{"run": "one", "words": uses("learned", "a=b")}], "leave out"),
        ([{"run": "one", "words": uses("learned", "a,mug=b")}], "leave out"),
        ([{"run": "one", "words": uses("learned", "")}], "write the word that is to stand for mug"),
        ([{"run": "one", "words": [{"use": "learned"}, {"use": "eaten"}]}], "learned, plain or another"),
        ([{"run": "four", "words": uses("learned")}], "no such run"),
        ([" "], "the prompt is empty"),
        (["a {mug}"], "no braces"),
    ],
)
def test_a_prompt_that_makes_no_sense_is_refused(runs: Runs, pieces: list[Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        asked.prompt(pieces, runs)


def test_what_was_typed_as_several_words_is_several() -> None:
    told = [{"text": " red  tea ", "trainable": True}, {"text": "kettle.", "trainable": False}, {"text": "!"}]
    assert asked.words(told) == (("red", True), ("tea", True), ("kettle", False))


def test_a_comma_between_words_is_learned_as_on_the_command_line() -> None:
    told = [{"text": text} for text in ('"red,', "shiny", ",", "mug.")]
    assert [text for text, _ in asked.words(told)] == ["red,", "shiny", "mug"]
    assert typed(" ".join(text for text, _ in asked.words(told))) == "red, shiny mug"


def test_the_forms_are_the_fields() -> None:
    told = forms.forms()
    assert [field["name"] for field in told["invert"]] == list(fields.fields(InvertSettings))
    assert {field["name"] for field in told["generate"]} == set(fields.fields(GenerateSettings)) - {"batch"}
    assert set(told["starts"]) == set(STARTS) - {"other-caption", "random", "class-repeated"}, (
        "what words alone can say"
    )
    for init, offered in told["starts"].items():
        assert {field["name"] for field in offered} <= set(fields.fields(STARTS[init]))
    rate = next(field for field in told["invert"] if field["name"] == "lr")
    assert rate["kind"] == "text" and forms.given(InvertSettings, {"lr": "0.02"}) == {"lr": 0.02}
    assert forms.given(InvertSettings, {"lr": "rho:0.1"}) == {"lr": "rho:0.1"}


def test_no_form_lets_the_page_name_a_file_a_model_or_an_address() -> None:
    """A new option of a start is not offered until somebody has said that it is harmless."""
    offered = {field["name"] for one in forms.forms()["starts"].values() for field in one}
    assert offered == set(forms.OFFERED)
    for cls in STARTS.values():
        for name, field in fields.fields(cls).items():
            assert name not in offered or field.metavar not in ("NAME", "URL", "PHOTO", "FILE"), name


def test_what_a_form_allows_the_server_takes_and_no_more() -> None:
    limits = {told["name"]: told["max"] for told in forms.described(InvertSettings) if told["max"] is not None}
    assert {"steps", "batch", "held_out"} <= set(limits)
    for name, most in limits.items():
        assert forms.given(InvertSettings, {name: most}) == {name: most}
        with pytest.raises(UserError):
            forms.given(InvertSettings, {name: most + 1})
