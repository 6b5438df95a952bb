"""Classifiers and CLIP: what they say, and of which words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from photowords import clip, pocket
from photowords.backbones import Backbone
from photowords.errors import PhotowordsWarning, UserError
from photowords.images import load_photo
from photowords.initializers.classify import classify
from photowords.segmentation import cut_out
from photowords.starts import Class

NAMES = tuple(name.replace("_", " ") for name in pocket.concepts())


def test_clip_chooses_among_words(pocket_model: Backbone) -> None:
    for name in pocket.concepts():
        start = classify(Class(labels=(*NAMES, " ", NAMES[0])), [load_photo(pocket.view(name))], pocket_model)
        ranked = start.provenance["class_candidates"]
        assert start.text == ranked[0][0] == name.replace("_", " ")
        assert start.provenance["class_confidence"] == ranked[0][1] > 0.5
        assert len(ranked) == 5 and sum(probability for _, probability in ranked) <= 1 + 1e-6
    assert start.provenance["classifier"] == "clip"


def test_the_softmax_is_over_the_words(pocket_model: Backbone, mug: Image.Image) -> None:
    two = classify(Class(labels=("teapot", "mug")), [mug], pocket_model)
    judge = clip.load(pocket_model.readers["clip"])
    cosines = judge.texts(["a photo of a mug", "a photo of a teapot"]) @ judge.images([mug])[0]
    expected = float(torch.sigmoid(judge.scale * (cosines[0] - cosines[1])))
    assert two.text == "mug" and two.provenance["class_confidence"] == pytest.approx(expected, abs=1e-6)


def test_which_reader_chooses(pocket_model: Backbone, mug: Image.Image, clip_folder: Path) -> None:
    given = classify(Class(classifier=str(clip_folder), labels=NAMES), [mug], pocket_model)
    assert given.provenance["classifier"] == clip_folder.name
    with pytest.warns(PhotowordsWarning, match="has labels of its own, so the CLIP 'clip' chooses among yours"):
        classifier = Class(classifier=str(pocket.CLASSIFIER), labels=NAMES)
        assert classify(classifier, [mug], pocket_model).provenance["classifier"] == "clip"
    with pytest.raises(UserError, match=r"is a CLIP, which has no labels of its own; give it words as `labels`"):
        classify(Class(classifier=str(clip_folder)), [mug], pocket_model)
    for labels in ((" ",), ("teapot",), ("teapot", " teapot")):
        with pytest.raises(UserError, match="`labels` names no two words to choose from"):
            Class(labels=labels)


def test_the_classifier_keeps_its_five_best(pocket_model: Backbone, mug: Image.Image) -> None:
    start = classify(Class(), [mug], pocket_model)
    ranked = start.provenance["class_candidates"]
    probabilities = [probability for _, probability in ranked]
    assert len(ranked) == 5 and probabilities == sorted(probabilities, reverse=True)
    assert start.text == ranked[0][0] == "mug" and start.provenance["class_confidence"] == probabilities[0]
    assert "region" not in start.provenance
    json.dumps(start.provenance)


@pytest.mark.parametrize("labels", [(), NAMES], ids=["classifier", "clip"])
def test_the_region_is_classified(
    labels: tuple[str, ...], pocket_model: Backbone, mug: Image.Image, mask: Image.Image
) -> None:
    region = classify(Class(labels=labels), [mug], pocket_model, mask)
    alone = classify(Class(labels=labels), [cut_out(mug, mask)], pocket_model)
    assert region.provenance == {**alone.provenance, "region": True}


# --- CLIP itself ---


def test_clip_embeds_both_halves(clip_folder: Path) -> None:
    judge = clip.Clip(str(clip_folder))
    pictures = [load_photo(pocket.view(name)) for name in pocket.concepts()] * 3  # more than one batch
    images, texts = judge.images(pictures), judge.texts([f"a {name}" for name in NAMES] * 3)
    assert images.shape == texts.shape == (36, 8) and images.dtype == torch.float32
    assert torch.allclose(images.norm(dim=1), torch.ones(36)) and torch.allclose(texts.norm(dim=1), torch.ones(36))
    alone = torch.cat([judge.images([picture]) for picture in pictures[-6:]])
    assert torch.allclose(images[-6:], alone, atol=1e-6), "what else is in the batch does not matter"
    assert torch.allclose(texts[4:5], judge.texts([f"a {NAMES[4]}"]), atol=1e-6)
    assert judge.images([]).shape == judge.texts([]).shape == (0, 8)
    assert not images.requires_grad and (judge.source, judge.revision) == (str(clip_folder), None)


def test_clip_cuts_long_texts_at_its_context(clip_folder: Path) -> None:
    judge = clip.Clip(str(clip_folder))
    long, longer = judge.texts(["red " * 14 + "mug", "red " * 14 + "teapot " * 50])
    assert torch.allclose(long, longer, atol=1e-6)
