"""Controls: what each shares with the caption, exactly; the seed decides the rest."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from photowords import backbones, pocket
from photowords.backbones import Backbone
from photowords.concept import Concept
from photowords.errors import PhotowordsWarning, UserError
from photowords.images import load_photo
from photowords.initializers import Found, controls, start
from photowords.starts import Captioned, MultiStar, OtherCaption, RandomVectors, Shuffled, of
from tests import small_models

NAMES = ("backpack", "bird", "mug", "teddy_bear")
AS_MANY = ("multi-star", "shuffled", "random-words", "class-repeated")

Make = Callable[..., Concept]


@pytest.fixture(scope="module", params=NAMES)
def photo(request: pytest.FixtureRequest) -> Image.Image:
    return load_photo(pocket.view(request.param))


@pytest.fixture
def make(pocket_model: Backbone, photo: Image.Image) -> Make:
    return lambda init, **told: start(of(init)(**told), [photo], pocket_model)


@pytest.mark.parametrize("init", AS_MANY)
def test_as_many_tokens_as_the_caption(init: str, make: Make) -> None:
    for told in ({}, {"seed": 1}, {"budget": 4}):
        if told.get("budget"):
            with pytest.warns(PhotowordsWarning, match="cut at 4 tokens"):
                caption = make("caption", **told)
            with pytest.warns(PhotowordsWarning, match="cut at 4 tokens"):
                control = make(init, **told)
        else:
            caption, control = make("caption", **told), make(init, **told)
        assert len(control.vectors("clip_l")) == len(caption.vectors("clip_l")), (init, control.sentence)
        assert control.provenance["caption"] == caption.provenance["caption"]
        assert control.provenance["init"] == init


def test_shuffled_has_the_captions_words_in_another_order(make: Make) -> None:
    caption = make("caption")
    orders = set()
    for seed in range(8):
        shuffled = make("shuffled", seed=seed)
        assert Counter(shuffled.texts) == Counter(caption.texts) and shuffled.texts != caption.texts
        assert shuffled.provenance["made_from"] == caption.sentence
        assert shuffled.provenance["control_seed"] == seed
        orders.add(shuffled.sentence)
    assert len(orders) >= 6
    assert make("shuffled", seed=3).sentence == make("shuffled", seed=3).sentence


def test_random_words_are_known_distinct_and_not_the_captions(make: Make, pocket_model: Backbone) -> None:
    caption = make("caption")
    known, drawn = set(pocket_model.vocabulary("clip_l")[0]), set()
    for seed in range(4):
        words = make("random-words", seed=seed).texts
        assert len(set(words)) == len(words) and set(words) <= known and not set(words) & set(caption.texts)
        drawn.add(words)
    assert len(drawn) == 4
    again = make("random-words", seed=2)
    assert again.texts in drawn and again.provenance["made_from"] == caption.sentence


def test_another_pictures_caption(make: Make) -> None:
    caption = make("caption")
    others = [make("other-caption", seed=seed) for seed in range(6)]
    assert all(other.sentence != caption.sentence for other in others)
    assert len({other.sentence for other in others}) >= 3
    assert others[4].sentence == make("other-caption", seed=4).sentence
    for seed, other in enumerate(others):
        name = other.provenance["made_from"].removesuffix(", view 0 of the bank")
        assert name in pocket.concepts() and name.split("_")[-1] in other.sentence
        assert other.provenance["own_caption"] == caption.sentence and other.provenance["control_seed"] == seed


def test_the_class_is_repeated(make: Make) -> None:
    caption, label, repeated = make("caption"), make("class"), make("class-repeated")
    expected = list(itertools.islice(itertools.cycle(label.texts), len(caption)))
    assert list(repeated.texts) == expected and repeated.provenance["made_from"] == label.sentence
    assert repeated.provenance["class_confidence"] == label.provenance["class_confidence"]


@pytest.fixture
def reading(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Readers that say what they are told; the caption is that of the photo's size."""

    def read(*said: str, label: str = "mug") -> None:
        sizes = {8 + i: text for i, text in enumerate(said)}

        def caption(how: Captioned, photos: list[Image.Image], backbone: Backbone, mask: Any = None) -> Found:
            assert mask is None or mask.size == photos[0].size
            return Found(sizes.get(photos[0].width, said[-1]), {})

        monkeypatch.setattr(controls, "caption", caption)
        monkeypatch.setattr(controls, "classify", lambda *_: Found(label, {}))

    return read


def photos(size: int = 8) -> list[Image.Image]:
    return [Image.new("RGB", (size, size))]


def test_a_given_other_picture_is_described(tiny: Backbone, reading: Callable[..., None]) -> None:
    reading("a red mug", "a photo of a cat with a", "the red mug")
    (other,), (same,) = photos(9), photos(10)
    described = start(OtherCaption(other=other), photos(), tiny, mask=Image.new("L", (8, 8), 255))
    assert described.sentence == "cat" and described.provenance["own_caption"] == "red mug"
    with pytest.warns(PhotowordsWarning, match="has this photo's own caption, 'red mug': it is no control"):
        assert start(OtherCaption(other=same), photos(), tiny).sentence == "red mug"


def test_a_bank_that_says_the_same_everywhere_is_refused(tiny: Backbone, reading: Callable[..., None]) -> None:
    reading("a red mug")
    with pytest.raises(UserError, match="every picture of the bank has this photo's own caption, 'red mug'; give"):
        start("other-caption", photos(), tiny)


def test_two_words_shuffled_change_places_and_keep_an_article(tiny: Backbone, reading: Callable[..., None]) -> None:
    reading("red mug")
    assert {start(Shuffled(seed=seed), photos(), tiny).sentence for seed in range(5)} == {"mug red"}
    reading("mug")
    assert start("shuffled", photos(), tiny).sentence == "mug"
    reading("beside the mug")
    orders = {start(Shuffled(seed=seed), photos(), tiny).sentence for seed in range(40)}
    assert len(orders) == 5 and "the mug beside" in orders and "beside mug the" in orders, "nothing is trimmed"


def test_the_caption_is_fitted_before_it_is_counted(tiny: Backbone, reading: Callable[..., None]) -> None:
    reading("a photo of a red red mug with a", label="a bell")
    with pytest.warns(PhotowordsWarning, match="repeated words left out"):
        assert start("class-repeated", photos(), tiny).sentence == "bell bell"
    reading("a red mug on a table")
    assert start(MultiStar(drop=("on a table",)), photos(), tiny).sentence == "* *"
    assert start(MultiStar(num_vectors=5), photos(), tiny).sentence == "* * * * *"


def test_a_repeated_class_is_cut_inside_a_word_to_the_exact_number(
    tiny: Backbone, reading: Callable[..., None]
) -> None:
    reading("red mug on a blue table in the snow", label="qwertz bell")  # nine tokens; qwertz has several
    pieces = len(tiny.text_encoders["clip_l"].ids("qwertz"))
    assert 3 < pieces <= 6 and pieces + 1 < 9
    repeated = start("class-repeated", photos(), tiny)
    assert len(repeated.vectors("clip_l")) == 9 and repeated.sentence.startswith("qwertz bell q")
    assert torch.equal(repeated.words[-1].vectors["clip_l"], repeated.words[0].vectors["clip_l"][: 9 - pieces - 1])
    reading("red mug", label="猫")
    assert len(start("class-repeated", photos(), tiny).vectors("clip_l")) == 2


def test_too_small_a_vocabulary_is_refused(
    tiny: Backbone, reading: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    reading("red mug")
    monkeypatch.setattr(tiny, "vocabulary", lambda encoder: (["red", "mug", "cat"], None))
    with pytest.raises(UserError, match="knows 1 words beside the caption's, but 2 are wanted"):
        start("random-words", photos(), tiny)


def test_controls_can_be_frozen_like_any_start(tiny: Backbone, reading: Callable[..., None]) -> None:
    reading("mug with a star")
    shuffled = start(Shuffled(freeze=("stopwords",)), photos(), tiny)
    assert {word.text for word in shuffled.words if not word.trainable} == {"with", "a"}


def test_random_vectors_have_the_vocabularys_scale_and_no_words(make: Make, pocket_model: Backbone) -> None:
    caption, drawn = make("caption"), make("random")
    assert len(drawn.words) == len(caption.vectors("clip_l")) == len(drawn.vectors("clip_l"))
    assert drawn.sentence == "" and set(drawn.texts) == {""} and all(word.trainable for word in drawn.words)
    assert drawn.provenance["init"] == "random" and drawn.provenance["made_from"] == caption.sentence
    assert torch.equal(drawn.vectors("clip_l"), make("random").vectors("clip_l"))
    assert not torch.equal(drawn.vectors("clip_l"), make("random", seed=1).vectors("clip_l"))

    many = make("random", num_vectors=12, seed=3).vectors("clip_l")
    vocabulary = pocket_model.vocabulary("clip_l")[1]
    assert many.shape == (12, vocabulary.shape[1])
    ratio = many.norm(dim=1).mean() / vocabulary.norm(dim=1).mean()
    assert 0.9 < ratio < 1.1, "neither lost among the words nor far outside them"
    apart = (make("random", num_vectors=20, seed=4).vectors("clip_l") - vocabulary.mean(0)) / vocabulary.std(0)
    assert apart.std(0).mean() == pytest.approx(1, abs=0.1), "each coordinate has its own spread"
    assert (apart.square().mean(0) - 1).abs().mean() < 0.5
    nearest = torch.nn.functional.cosine_similarity(many[:, None], vocabulary, dim=-1).max(1).values
    assert nearest.max() < 0.9, "no word in disguise"


def test_too_many_random_vectors_are_refused(tiny: Backbone) -> None:
    with pytest.raises(UserError, match=r"has 40 tokens, but .* has room for"):
        start(RandomVectors(num_vectors=40), [], tiny)


@pytest.mark.parametrize("init", ["caption", "class", "multi-star", "random"])
def test_what_reads_the_photo_needs_one(init: str, tiny: Backbone) -> None:
    with pytest.raises(UserError, match=f"`init` {init} reads the photo, and none was given"):
        start(init, [], tiny)
    assert len(start(RandomVectors(num_vectors=2), [], tiny)) == 2


@pytest.mark.parametrize("init", [*AS_MANY, "random"])
def test_as_many_tokens_in_each_text_encoder(init: str, tmp_path: Path, reading: Callable[..., None]) -> None:
    """T5 and CLIP split words differently, so their numbers differ."""
    flux = backbones.load(str(small_models.flux(tmp_path / "flux")), "cpu", "fp32")
    reading("a bon appetit teapot", label="a teapot")
    caption, control = small_models.words_concept(flux, "bon appetit teapot"), start(init, photos(), flux)
    counts = {encoder: len(caption.vectors(encoder)) for encoder in caption.encoders}
    assert len(set(counts.values())) == 2
    assert {encoder: len(control.vectors(encoder)) for encoder in control.encoders} == counts
    three = {encoder: len(start(MultiStar(num_vectors=3), [], flux).vectors(encoder)) for encoder in counts}
    assert set(three.values()) == {3}
