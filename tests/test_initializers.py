"""Where the words come from; readers load from ordinary transformers folders."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from transformers import (
    BlipForConditionalGeneration,
    ViTConfig,
    ViTForImageClassification,
    ViTImageProcessorPil,
)

from photowords import formats, pocket
from photowords.backbones import Backbone
from photowords.errors import PhotowordsWarning, UserError
from photowords.images import load_photo
from photowords.initializers import start
from photowords.inversion import invert
from photowords.settings import InvertSettings
from photowords.starts import Caption, Class, MultiStar, Words
from tests.small_readers import SQUARE, VISION, bert, save_blip

SIXTEEN = "red and white striped teapot with a yellow star on a blue table under the sky"
"""A sentence of sixteen words, each one token."""


def test_every_token_starts_at_its_own_vector(tiny: Any) -> None:
    concept = start(Words(words="red  tea kettle"), [], tiny, "pot")
    table = tiny._pipe.text_encoder.get_input_embeddings().weight
    ids = tiny.text_encoders["clip_l"].ids("red tea kettle")
    assert torch.equal(concept.vectors("clip_l"), table[ids].float())
    assert concept.sentence == "red tea kettle" and concept.texts == ("red", "tea", "kettle")
    assert concept.provenance["backbone"] == tiny.name and concept.provenance["step"] == 0


def test_stars(tiny: Backbone) -> None:
    assert start("star", [], tiny).texts == ("*",)
    many = start(MultiStar(num_vectors=3), [], tiny)
    assert many.texts == ("*", "*", "*")
    assert torch.equal(many.vectors("clip_l")[0], many.vectors("clip_l")[2])
    with pytest.raises(UserError, match="`num_vectors` is 0, but it must be a whole number from 1 to 10,000"):
        MultiStar(num_vectors=0)


def test_the_pocket_reads_its_bank(pocket_model: Backbone) -> None:
    """The sentence names the object of all but two concepts at most, and so does the class."""
    named = classified = 0
    for name in pocket.concepts():
        photo = load_photo(pocket.view(name))
        thing = name.replace("_", " ")
        named += thing in start("caption", [photo], pocket_model).sentence
        classified += start("class", [photo], pocket_model).sentence == thing
    assert named >= 10 and classified >= 10


def test_as_many_stars_as_the_caption_has_tokens(pocket_model: Backbone, mug: Image.Image) -> None:
    caption, stars = (start(init, [mug], pocket_model) for init in ("caption", "multi-star"))
    assert len(stars) == len(caption) and set(stars.texts) == {"*"}
    assert stars.provenance["caption"] == caption.provenance["caption"]


@pytest.fixture(scope="module")
def blip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BLIP that says one word, again and again."""
    folder = tmp_path_factory.mktemp("blip")
    torch.manual_seed(0)
    save_blip(folder)
    model: Any = BlipForConditionalGeneration.from_pretrained(folder)
    with torch.no_grad():
        model.text_decoder.cls.predictions.bias[bert().convert_tokens_to_ids("mug")] += 50
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def vit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("vit")
    torch.manual_seed(0)
    labels = {0: "coffee mug, mug", 1: "teapot"}
    config = ViTConfig(**VISION, id2label=labels, label2id={v: k for k, v in labels.items()})
    model = ViTForImageClassification(config)
    with torch.no_grad():
        model.classifier.bias.copy_(torch.tensor([5.0, 0.0]))
    model.save_pretrained(folder)
    ViTImageProcessorPil(size=SQUARE).save_pretrained(folder)
    return folder


def test_any_blip_folder_captions(blip: Path, tiny: Backbone, mug: Image.Image) -> None:
    with pytest.warns(UserWarning, match="was cut to 'mug': repeated words left out"):
        concept = start(Caption(captioner=str(blip)), [mug], tiny)
    assert concept.texts == ("mug",)
    assert concept.provenance["captioner"] == blip.name


def test_any_classifier_folder_gives_its_first_synonym(vit: Path, tiny: Backbone, mug: Image.Image) -> None:
    concept = start(Class(classifier=str(vit)), [mug], tiny)
    assert concept.sentence == "coffee mug"
    assert 0.9 < concept.provenance["class_confidence"] < 1


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("", "said nothing about this photo; give the words yourself"),
        ("  ", "said nothing about this photo; give the words yourself"),
        ("a", "'a' holds no word to learn; give the words yourself as `words`"),
        ("🦊 ❤️", "holds no word to learn; give the words yourself as `words`"),
    ],
)
def test_an_empty_caption_says_what_to_do(
    said: str, message: str, tiny: Backbone, mug: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    saying(monkeypatch, said)
    with pytest.raises(UserError, match=message):
        start("caption", [mug], tiny)


def test_a_long_caption_is_cut_at_a_word_with_a_warning(
    tiny: Backbone, mug: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    saying(monkeypatch, f"a photo of a {SIXTEEN} cup")
    with pytest.warns(UserWarning, match="was cut to .*: cut at 16 tokens") as warned:
        concept = start("caption", [mug], tiny)
    assert concept.sentence == SIXTEEN and len(concept) == 16 and len(warned) == 1
    assert concept.provenance["caption"] == f"a photo of a {SIXTEEN} cup"
    assert concept.provenance["fitting"] == ["cut at 16 tokens"]


def test_the_budget_is_for_captions_not_for_the_users_words(tiny: Backbone) -> None:
    assert len(start(Words(words=f"{SIXTEEN} cup"), [], tiny)) == 17
    assert start(Words(words="very very big  mug 🦊"), [], tiny).sentence == "very very big mug 🦊"
    with pytest.raises(UserError, match=r"has 25 tokens, but .* has room for \d+ beside the templates; shorten it"):
        start(Words(words="red " * 24 + "mug"), [], tiny)


def test_dropped_words_are_left_out(pocket_model: Backbone, mug: Image.Image) -> None:
    assert start("caption", [mug], pocket_model).sentence == "blue and white checkered mug"
    assert start(Caption(drop=("blue and",)), [mug], pocket_model).sentence == "white checkered mug"
    assert start(Words(words="a Red small mug", drop=("red",)), [], pocket_model).sentence == "small mug"
    with pytest.raises(UserError, match="no 'teal' to drop; the sentence's words are blue, and, white, checkered, mug"):
        start(Caption(drop=("teal",)), [mug], pocket_model)
    with pytest.raises(UserError, match="every word of 'red mug' is dropped; leave at least one to learn"):
        start(Words(words="a red mug", drop=("mug", "red")), [], pocket_model)


def test_the_class_is_fitted_too(vit: Path, tiny: Backbone, mug: Image.Image) -> None:
    assert start(Class(classifier=str(vit), drop=("Coffee",)), [mug], tiny).sentence == "mug"


def test_a_word_of_several_tokens_has_a_vector_for_each(tiny: Backbone) -> None:
    concept = start(Words(words="red qwertz mug"), [], tiny)
    pieces = len(tiny.text_encoders["clip_l"].ids("qwertz"))
    assert concept.texts == ("red", "qwertz", "mug") and concept.sizes("clip_l") == [1, pieces, 1] and pieces > 2
    assert torch.equal(concept.vectors("clip_l"), tiny.text_encoders["clip_l"].word_vectors("red qwertz mug"))


def test_frozen_words_are_not_learned_and_files_keep_it(tiny: Backbone, tmp_path: Path) -> None:
    def learned(words: str, *freeze: str) -> list[bool]:
        concept = start(Words(words=words, freeze=freeze), [], tiny, "bag")
        formats.write(concept, tmp_path / "bag.safetensors")
        kept = formats.read(tmp_path / "bag.safetensors")
        assert kept.provenance == concept.provenance
        assert [word.trainable for word in kept.words] == [word.trainable for word in concept.words]
        return [word.trainable for word in kept.words]

    assert learned("backpack with a white star", "stopwords") == [True, False, False, True, True]
    assert learned("backpack with a white star", "Star", "with a") == [True, False, False, True, False]
    assert learned("red mug", "stopwords") == [True, True] == learned("red mug")
    assert learned("red qwertz", "qwertz") == [True, False]
    with pytest.warns(PhotowordsWarning, match="no 'blue' to freeze in 'red mug'"):
        assert learned("red mug", "blue", "red") == [False, True]
    with pytest.raises(UserError, match="every word of 'red mug' is frozen; leave at least one to learn"):
        learned("red mug", "mug", "red")


def test_the_loop_leaves_frozen_words_bit_identical(tiny: Backbone, mug: Image.Image) -> None:
    first = start(Words(words="backpack with a star", freeze=("stopwords",)), [], tiny)
    last = list(invert(tiny, first, [mug], InvertSettings(steps=3, held_out=4)))[-1].concept
    before, after = first.vectors("clip_l"), last.vectors("clip_l")
    assert [torch.equal(old, new) for old, new in zip(before, after, strict=True)] == [False, True, True, False]


def saying(monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    """A captioner that always says the same."""

    @dataclasses.dataclass
    class Parrot:
        source: str = "parrot"
        revision: None = None

        def __call__(self, photo: Image.Image) -> str:
            return said.strip()

    monkeypatch.setattr("photowords.initializers.captioner.load", lambda *_: Parrot())


def test_a_model_that_is_no_captioner_says_so(blip: Path, tiny: Backbone, mug: Image.Image) -> None:
    from photowords.initializers.captioner import Captioner

    captioner = Captioner(str(blip))
    captioner._model.generate = None
    with pytest.raises(UserError, match="cannot caption a picture alone"):
        captioner(mug)


def test_the_users_words_lose_their_article(tiny: Backbone) -> None:
    assert start(Words(words="a red  mug"), [], tiny).sentence == "red mug"


def test_a_missing_reader_says_where_to_put_it(tiny: Backbone, mug: Image.Image, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"captioner .* cannot be loaded .* give a transformers folder"):
        start(Caption(captioner=str(tmp_path)), [mug], tiny)
    with pytest.raises(UserError, match=r"classifier .* cannot be loaded"):
        start(Class(classifier=str(tmp_path)), [mug], tiny)


def test_an_unknown_initializer_names_the_known(tiny: Backbone) -> None:
    with pytest.raises(UserError, match="choose from caption, class, words, star, multi-star"):
        start("telepathy", [], tiny)


@pytest.mark.parametrize(
    ("said", "kept", "bare"),
    [
        ("a photo of a red mug", "a red mug", "red mug"),
        ("The red mug", "The red mug", "red mug"),
        ("there is a photo of the cat with a", "the cat", "cat"),
        ("and a red mug", "a red mug", "red mug"),
        ("red mug", "red mug", "red mug"),
        ("a photo of mug", "mug", "mug"),
    ],
)
def test_the_article_is_kept_where_that_is_asked(
    said: str, kept: str, bare: str, tiny: Backbone, mug: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    saying(monkeypatch, said)
    assert start(Caption(keep_article=True), [mug], tiny).sentence == kept
    assert start("caption", [mug], tiny).sentence == bare
    if " of " not in said and not said.startswith("and"):  # a user's words are not fitted
        assert start(Words(words=said, keep_article=True), [], tiny).sentence == kept
        assert start(Words(words=said), [], tiny).sentence == bare
