"""Imperfect captions: the rate is honoured, the grammar stays, and the same seed makes the same mistakes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from photowords import images, pocket
from photowords.backbones import Backbone
from photowords.initializers import start
from photowords.initializers.fit import STOPWORDS
from photowords.initializers.noise import NEAREST, near_words, with_noise
from photowords.starts import Caption, MultiStar, OtherCaption, RandomWords, Shuffled
from photowords.study import grid, plan

SENTENCES = (
    "teal and white checkered mug",
    "red striped teapot with a star",
    "small brown teddy bear on a beach",
    "mug",
)
CONTENT = 4 + 4 + 5 + 1
COLOURS = {"red", "orange", "yellow", "green", "teal", "blue", "purple", "pink", "white", "black"}


def made(backbone: Backbone, sentence: str, seed: int, **how: Any) -> tuple[str, list[list[str]]]:
    found = with_noise(Caption(seed=seed, **how), sentence, backbone)
    return found.text, found.provenance["replaced"]


@pytest.mark.parametrize("rate", [0.1, 0.3, 1.0])
def test_each_content_word_is_replaced_at_the_rate(rate: float, pocket_model: Backbone) -> None:
    seeds = 40
    count = sum(
        len(made(pocket_model, text, seed, caption_noise=rate)[1]) for text in SENTENCES for seed in range(seeds)
    )
    of = CONTENT * seeds
    assert abs(count - rate * of) <= 3 * (of * rate * (1 - rate)) ** 0.5


@pytest.mark.parametrize("asked", [1, 2, 9])
def test_just_so_many_are_wrong(asked: int, pocket_model: Backbone) -> None:
    for sentence, content in zip(SENTENCES, (4, 4, 5, 1), strict=True):
        words = sentence.split()
        places = set()
        for seed in range(12):
            text, replaced = made(pocket_model, sentence, seed, wrong_words=asked)
            pairs = enumerate(zip(words, text.split(), strict=True))
            differ = [i for i, (old, new) in pairs if old != new and old != "a"]
            assert len(replaced) == len(differ) == min(asked, content)
            places |= set(differ)
        assert {words[i] for i in places} == set(words) - STOPWORDS, "each content word has its turn"


def test_what_comes_instead_is_another_word_of_the_models_own(pocket_model: Backbone) -> None:
    known = set(pocket_model.vocabulary("clip_l")[0]) - STOPWORDS
    for seed in range(20):
        for sentence in SENTENCES:
            text, replaced = made(pocket_model, sentence, seed, caption_noise=0.5)
            words = text.split()
            assert len(set(words)) == len(words), "nothing is said twice"
            for old, new in replaced:
                assert new in known and new not in sentence.split() and old not in STOPWORDS
                assert new not in old and old not in new
    near = {word: near_words(word, {word}, pocket_model) for word in COLOURS}
    assert all(len(found) == NEAREST for found in near.values())
    share = sum(other in COLOURS for found in near.values() for other in found) / (len(COLOURS) * NEAREST)
    assert share > 0.5, "a colour for a colour, mostly; by chance a tenth"


def test_articles_follow_and_punctuation_stays(pocket_model: Backbone) -> None:
    seen = set()
    for seed in range(40):
        text, ((old, new),) = made(pocket_model, "cat with an umbrella,", seed, wrong_words=1)
        article, last = text.split()[2:]
        assert last.endswith(",") and (article == "an") == (last[0] in "aeiou"), text
        seen.add(article)
        assert (old, new) == ("umbrella,", last) or old == "cat"
    assert seen == {"a", "an"}


def test_the_seed_and_the_sentence_make_the_mistakes(pocket_model: Backbone, mug: Image.Image) -> None:
    one, again, other = (start(Caption(caption_noise=0.5, seed=seed), [mug], pocket_model) for seed in (3, 3, 4))
    assert one.sentence == again.sentence != other.sentence and len(one) == len(other) == 5
    told = one.provenance
    assert told["caption"] == start("caption", [mug], pocket_model).provenance["caption"]
    assert told["without_noise"] == "blue and white checkered mug" and told["sentence"] == one.sentence
    assert told["caption_noise"] == 0.5 and told["caption_noise_seed"] == 3 and told["replaced"]
    json.dumps(dict(told))
    assert "replaced" not in start("caption", [mug], pocket_model).provenance
    drawn = {made(pocket_model, f"red striped {thing}", 0, wrong_words=1)[0].split()[0] for thing in pocket.concepts()}
    assert "red" in drawn and len(drawn) > 1, "at one seed, photos differ in what is wrong"


def test_controls_are_made_of_the_imperfect_caption(pocket_model: Backbone, mug: Image.Image) -> None:
    wrong = start(Caption(wrong_words=1, seed=1), [mug], pocket_model).sentence
    shuffled = start(Shuffled(wrong_words=1, seed=1), [mug], pocket_model)
    assert sorted(shuffled.sentence.split()) == sorted(wrong.split()) != ["and", "checkered", "mug", "teal", "white"]
    for control in (MultiStar, RandomWords, OtherCaption):
        assert start(control(wrong_words=1, seed=1), [mug], pocket_model).provenance["wrong_words"] == 1


def test_a_studys_arm_has_it(tmp_path: Path, pocket_model: Backbone) -> None:
    file = tmp_path / "noisy.toml"
    arms = '[[arms]]\nname = "caption"\ninit = "caption"\n[[arms]]\nname = "wrong"\ninit = "caption"\nwrong_words = 1\n'
    file.write_text(f'name = "noisy"\nconcepts = ["mug"]\n{arms}')
    study = plan.read(file)
    plain, wrong = (grid.start_of(arm, study.concepts[0]) for arm in study.arms)
    photo = [images.load_photo(pocket.view("mug"))]
    assert wrong == Caption(wrong_words=1)
    said, mistaken = (start(how, photo, pocket_model).sentence.split() for how in (plain, wrong))
    assert sum(a != b for a, b in zip(said, mistaken, strict=True)) == 1
