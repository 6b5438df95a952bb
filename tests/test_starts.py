"""Starts and their options: alike in Python, on the command line and in a study's file, and each changes something."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import photowords
from photowords import cli, fields, pocket, starts
from photowords.backbones import Backbone
from photowords.cli.invert import OPTIONS
from photowords.cli.words import chosen
from photowords.errors import PhotowordsWarning, UserError
from photowords.initializers import INITIALIZERS, start
from photowords.initializers.captioner import Captioner
from photowords.initializers.refiner import Refiner
from photowords.starts import STARTS, Class, ClassRepeated, Start
from photowords.study import grid, plan

CASES = [(init, name) for init, cls in STARTS.items() for name in fields.fields(cls)]
"""Every start with every option of its own."""
OTHERS = [(init, name) for init, cls in STARTS.items() for name in OPTIONS if name not in fields.fields(cls)]
"""Every start with every option that it does not look at."""

GIVEN: dict[str, tuple[str, Any]] = {
    "budget": ("2", 2),
    "captioner": ("{copies}/captioner-2", "{copies}/captioner-2"),
    "candidates": ("2", 2),
    "reranker": ("{copies}/clip-2", "{copies}/clip-2"),
    "refiner": ("http://localhost:1", "http://localhost:1"),
    "refiner_model": ("large", "large"),
    "refiner_instruction": ("rhyme", "rhyme"),
    "classifier": ("{copies}/classifier-2", "{copies}/classifier-2"),
    "labels": ("bell,clock", ["bell", "clock"]),
    "class_name": ("kettle", "kettle"),
    "drop": ("white", ["white"]),
    "freeze": ("white,and", ["white", "and"]),
    "keep_article": ("", True),
    "words": ("a white mug", "a white mug"),
    "num_vectors": ("3", 3),
    "seed": ("7", 7),
    "caption_noise": ("1", 1.0),
    "wrong_words": ("1", 1),
    "other": (str(pocket.view("teapot")), None),
}
"""Option -> how the command line writes it, and what a study's file says."""
BESIDE: dict[str, dict[str, Any]] = {
    "reranker": {"candidates": 2},
    "refiner": {"refiner_model": "small"},
    "refiner_model": {"refiner": "http://localhost:2"},
    "refiner_instruction": {"refiner": "http://localhost:2", "refiner_model": "small"},
}
"""Option -> what it needs beside it."""


NAMED = "`?"
"""Python writes names in backquotes; a study's file shows its keys as they are."""


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pocket's readers under other names, which is all that a change of reader shows here."""
    folder = tmp_path_factory.mktemp("copies")
    for reader in (pocket.CAPTIONER, pocket.CLIP, pocket.CLASSIFIER):
        shutil.copytree(reader, folder / f"{reader.name}-2")
    return folder


def typed(told: dict[str, Any]) -> list[str]:
    """Options as a user types them."""
    return [
        part
        for name, text in told.items()
        for part in (f"--{name.replace('_', '-')}", *([] if name == "keep_article" else [str(text)]))
    ]


def by_hand(init: str, *options: str) -> Start:
    """The start that the command line makes of its options."""
    args = cli.parser().parse_args(["invert", "photo.png", "--out", "run", "--init", init, *options])
    return chosen(args, init, OPTIONS)


def in_a_file(folder: Path, init: str, told: dict[str, Any]) -> Start:
    """The start that a study's arm makes of its keys."""
    file = folder / "study.toml"
    keys = "\n".join(f"{name} = {json.dumps(value)}" for name, value in told.items())
    words = '[{name = "mug", photo = "mug", words = "a mug"}]'
    file.write_text(f'name = "s"\nconcepts = {words}\n[[arms]]\nname = "a"\ninit = "{init}"\n{keys}\n')
    return plan.read(file).arms[0].start


def test_every_start_has_an_initializer_and_a_public_name() -> None:
    assert set(INITIALIZERS) == set(STARTS.values()) and all(cls.init == init for init, cls in STARTS.items())
    assert all(getattr(photowords, cls.__name__) is cls for cls in STARTS.values())
    assert set(GIVEN) == set(OPTIONS)


@pytest.mark.parametrize(("init", "name"), CASES)
def test_both_front_ends_make_the_same_start(init: str, name: str, tmp_path: Path, copies: Path) -> None:
    text, value = GIVEN[name]
    beside = BESIDE.get(name, {})
    made = by_hand(init, *typed({**beside, name: text.format(copies=copies)}))
    assert made != STARTS[init]() and type(made) is STARTS[init]
    if name in plan.OWN:  # the study's own business, not the arm's
        with pytest.raises(UserError, match=f"arm a has the unknown key '{name}'"):
            in_a_file(tmp_path, init, {name: 1})
        return
    value = value.format(copies=copies) if isinstance(value, str) else value
    assert in_a_file(tmp_path, init, {**beside, name: value}) == made


@pytest.mark.parametrize(("init", "name"), OTHERS)
def test_both_front_ends_refuse_the_same_options(init: str, name: str, tmp_path: Path, copies: Path) -> None:
    text, value = GIVEN[name]
    if name == "seed":  # which is the run's as well: every start can stand beside it
        assert by_hand(init, "--seed", "7") == STARTS[init]()
        return
    with pytest.raises(
        UserError, match=f"{NAMED}{name}{NAMED} goes with {NAMED}init{NAMED} .*, not with {NAMED}init{NAMED} {init}"
    ):
        by_hand(init, *typed({name: text.format(copies=copies)}))
    if name not in plan.OWN:
        with pytest.raises(
            UserError, match=f"{NAMED}{name}{NAMED} goes with {NAMED}init{NAMED} .*, not with {NAMED}init{NAMED} {init}"
        ):
            in_a_file(tmp_path, init, {name: value})


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("drawing of a cat", "drawing of a cat"),
        ("this is fine art", "this is fine art"),
        ("there is a red mug", "there is a red mug"),
        (' "The  Red mug, red mug."\n', "Red mug, red mug"),
        ("a an mug", "an mug"),
    ],
)
def test_the_users_own_words_stay_but_for_an_article_and_outer_marks(typed: str, kept: str, tiny: Backbone) -> None:
    assert start(starts.Words(typed), [], tiny).sentence == kept
    for nothing in ("the", "...", '"A"'):
        with pytest.raises(UserError, match="holds no word to learn; write one"):
            start(starts.Words(nothing), [], tiny)
    assert start(starts.Words("the", keep_article=True), [], tiny).sentence == "the"


@pytest.mark.filterwarnings("ignore::photowords.errors.PhotowordsWarning")
@pytest.mark.parametrize(("init", "name"), CASES)
def test_every_option_changes_the_start(
    init: str,
    name: str,
    pocket_model: Backbone,
    mug: Image.Image,
    copies: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def found(told: dict[str, Any]) -> Any:
        concept = start(starts.make(init, told), [mug], pocket_model)
        return concept.sentence, [word.trainable for word in concept.words], dict(concept.provenance)

    # A refiner that answers with what it was told, without a network.
    answer = lambda refiner, caption, _: f"{refiner.model} {refiner.instruction} {caption}"  # noqa: E731
    monkeypatch.setattr(Refiner, "refine", answer)
    value = GIVEN[name][1]
    if name == "other":
        value = Image.open(pocket.view("teapot")).convert("RGB")
    if isinstance(value, str):
        value = value.format(copies=copies)
    told = {"words": "a white mug"} if init == "words" and name != "words" else dict(BESIDE.get(name, {}))
    if name in ("budget", "drop", "freeze", "keep_article") and init in ("class", "class-repeated"):
        told = {"class_name": "a white tea kettle"}
    if name == "seed" and init in ("caption", "multi-star", "class-repeated"):
        told = {"candidates": 2}  # of a captioner whose beams agree, so that it samples: the pocket's never do
        monkeypatch.setattr(Captioner, "candidates", lambda self, picture, count, seed, mask: [f"{seed} red mugs"])
    if name == "freeze" and init in ("random-words", "other-caption"):
        value = found(told)[0].split()[:1]
    try:
        before: Any = found(told)
    except UserError as error:  # one half of a pair, or no words
        before = str(error)
    assert found({**told, name: value}) != before


# --- the class that a study's concept says itself ---


def test_a_given_class_is_the_class_of_every_start_that_asks_for_one(
    pocket_model: Backbone, mug: Image.Image, tmp_path: Path
) -> None:
    """The control of a class that was said by hand repeats that class, not the classifier's."""
    file = tmp_path / "study.toml"
    arms = "".join(f'[[arms]]\nname = "{init}"\ninit = "{init}"\n' for init in ("class", "class-repeated"))
    file.write_text('name = "s"\nconcepts = [{name = "x", photo = "mug", class = "cup"}]\n' + arms)
    read = plan.read(file)
    said = [start(grid.start_of(arm, read.concepts[0]), [mug], pocket_model) for arm in read.arms]
    assert said[0].sentence == "cup" and said[0].provenance["init"] == "class"
    assert set(said[1].sentence.split()) == {"cup"} and len(said[1].words) == 5

    file.write_text(file.read_text().replace('init = "class"\n', 'init = "class"\nlabels = ["a", "b"]\n'))
    with pytest.raises(UserError, match="arm class asks a classifier, but concept x says its class itself"):
        plan.read(file)


def test_the_budget_is_for_a_class_too(pocket_model: Backbone) -> None:
    with pytest.warns(PhotowordsWarning, match="was cut to 'red striped mug'"):
        made = start(Class(class_name="red striped mug with a star", budget=3), [], pocket_model)
    assert made.sentence == "red striped mug" and made.provenance["class_name"] == "red striped mug with a star"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: starts.make("telepathy", {}), "there is no `init` 'telepathy'; choose from caption, class, words"),
        (lambda: starts.make("star", {"colour": 3}), "unknown option 'colour'"),
        (lambda: ClassRepeated(class_name="mug", labels=("a", "b")), "`labels` asks for the class, which `class_name`"),
        (lambda: Class(class_name=" "), "`class_name` holds no word"),
        (lambda: starts.MultiStar(num_vectors=2, drop=("a",)), "`drop` is about the caption, which `num_vectors`"),
        (
            lambda: starts.Caption(caption_noise=0.5, wrong_words=1),
            "`caption_noise` and `wrong_words` both say how many",
        ),
        (lambda: starts.Caption(caption_noise=1.5), "`caption_noise` is 1.5, but it must be a number from 0 to 1"),
        (lambda: starts.Caption(reranker="x"), "`reranker` chooses among candidates"),
        (lambda: starts.Caption(refiner_model="x"), "`refiner_model` needs `refiner` beside it"),
        (lambda: starts.Caption(budget="3"), "`budget` is '3', but it must be a whole number of at least 1"),  # type: ignore[arg-type]
        (lambda: starts.Caption(drop="toy"), "`drop` is 'toy', but it must be a list of texts"),  # type: ignore[arg-type]
        (lambda: starts.OtherCaption(other="x.png"), "`other` is 'x.png', but it must be a picture"),  # type: ignore[arg-type]
    ],
)
def test_what_contradicts_itself_gets_one_sentence(make: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        make()


def test_a_start_is_frozen_and_options_have_names() -> None:
    assert starts.Words("red mug") == starts.Words(words="red mug")
    with pytest.raises(TypeError):
        STARTS["caption"]("mug")  # type: ignore[call-arg]
    with pytest.raises(dataclasses.FrozenInstanceError):
        starts.Caption().budget = 3  # type: ignore[misc]
