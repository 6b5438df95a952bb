"""The method: only placeholders learn, and step 0 is the caption."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from photowords import backbones, images
from photowords.backbones import Backbone
from photowords.concept import Concept, Word
from photowords.errors import UserError
from photowords.initializers import start
from photowords.inversion import Diverged, Problem, invert
from photowords.inversion.loss import Batch, denoising_loss
from photowords.inversion.step import by_word
from photowords.settings import InvertSettings
from tests.small_models import FEW, words_concept


def test_no_tensor_but_the_words_ever_has_a_gradient(tiny: Any, mug: Image.Image) -> None:
    before = tiny.weights_hash()
    steps = list(invert(tiny, words_concept(tiny), [mug], FEW))
    assert tiny.weights_hash() == before
    for module in (tiny._pipe.unet, tiny._pipe.vae, tiny._pipe.text_encoder):
        assert all(p.grad is None and not p.requires_grad for p in module.parameters())
    moved = steps[-1].concept.vectors("clip_l") - steps[0].concept.vectors("clip_l")
    assert (moved.norm(dim=1) > 0.01).all(), "every word has its own non-zero update"
    assert len({tuple(row.tolist()) for row in steps[-1].concept.vectors("clip_l")}) == 3


@pytest.mark.parametrize("model", ["tiny", "tiny_v"])
def test_step_0_is_the_caption_prompt_itself(model: str, request: pytest.FixtureRequest) -> None:
    backbone: Backbone = request.getfixturevalue(model)
    concept = words_concept(backbone)
    spliced = backbone.encode_prompt([["a photo of a", *concept.refs, "on the beach"]], concept.embeddings())
    plain = backbone.encode_prompt([["a photo of a blue checkered mug on the beach"]], {})
    assert torch.equal(spliced["prompt_embeds"], plain["prompt_embeds"])


def test_the_gradient_of_the_splice_is_that_of_the_embedding_rows(tiny: Any) -> None:
    """Against finite differences, along the gradient, of a random linear function of the conditioning."""
    direction = torch.randn(1, 32, 32, generator=torch.Generator().manual_seed(0))
    concept = words_concept(tiny, "blue mug")
    prompt = ["a", concept.refs[0], "big", concept.refs[1]]

    def output(rows: Tensor) -> Tensor:
        embeddings = concept.embeddings({"clip_l": rows})
        return (tiny.encode_prompt([prompt], embeddings)["prompt_embeds"] * direction).sum()

    rows = concept.vectors("clip_l").requires_grad_()
    output(rows).backward()
    assert rows.grad is not None
    step = 1e-3 * torch.nn.functional.normalize(rows.grad, dim=1)
    with torch.no_grad():
        difference = float(output(rows + step) - output(rows - step)) / 2
    assert difference == pytest.approx(float((rows.grad * step).sum()), rel=0.02)


def test_the_loss_is_equation_1(tiny: Any, mug: Image.Image) -> None:
    z = tiny.encode_picture(images.to_tensor(mug, 64)).mean
    noise, t = torch.randn(1, 4, 8, 8), torch.tensor([500])
    told = tiny.encode_prompt([["a mug"]], {})
    a = tiny.objective._schedule.alphas_cumprod[500]
    predicted = tiny._pipe.unet(a.sqrt() * z + (1 - a).sqrt() * noise, t, told["prompt_embeds"]).sample
    expected = ((predicted - noise) ** 2).mean()
    flat = torch.ones(1, 1, 8, 8)
    assert denoising_loss(tiny, Batch(z, noise, t, flat, t), told).item() == pytest.approx(expected.item(), rel=1e-5)
    left = torch.zeros(1, 1, 8, 8)
    left[..., :4] = 2  # mean 1: a mask over the left half
    expected = ((predicted - noise)[..., :4] ** 2).mean()
    assert denoising_loss(tiny, Batch(z, noise, t, left, t), told).item() == pytest.approx(expected.item(), rel=1e-5)


def test_v_prediction_models_are_compared_with_the_velocity(tiny_v: Any) -> None:
    z, noise, t = torch.randn(1, 4, 8, 8), torch.randn(1, 4, 8, 8), torch.tensor([300])
    a = tiny_v.objective._schedule.alphas_cumprod[300]
    assert torch.allclose(tiny_v.objective.target(z, noise, t), a.sqrt() * noise - (1 - a).sqrt() * z, atol=1e-6)


def test_the_held_out_tuples_are_fixed_and_stratified(tiny: Backbone, mug: Image.Image) -> None:
    concept, settings = words_concept(tiny), InvertSettings(held_out=10)
    rows = {"clip_l": concept.vectors("clip_l")}
    one, two = Problem(tiny, concept, [mug], (), settings), Problem(tiny, concept, [mug], (), settings)
    assert one.held_out_batch.t.tolist() == [50, 150, 250, 350, 450, 550, 650, 750, 850, 950]
    torch.manual_seed(123)
    assert torch.allclose(one.held_out(rows), two.held_out(rows, batch=3), atol=1e-5), "batch and seeds do not matter"
    assert one.held_out(rows).shape == (10,)


@pytest.mark.parametrize("photos", [1, 2, 3, 4, 9])
def test_every_photo_meets_every_template_in_the_held_out_loss(photos: int, tiny: Backbone, mug: Image.Image) -> None:
    settings = InvertSettings(held_out=27 * photos)
    problem = Problem(tiny, words_concept(tiny), [mug.rotate(7 * k) for k in range(photos)], (), settings)
    batch = problem.held_out_batch
    met = {(float(z.sum()), int(prompt)) for z, prompt in zip(batch.latents, batch.prompt, strict=True)}
    assert len(met) == 27 * photos


def test_the_held_out_loss_is_evaluated_at_0_at_the_end_and_between(tiny: Backbone, mug: Image.Image) -> None:
    steps = list(invert(tiny, words_concept(tiny), [mug], dataclasses.replace(FEW, steps=5)))
    assert [step.index for step in steps if step.held_out is not None] == [0, 2, 4, 5]
    assert steps[-1].sample_steps == 5 * 4 + 4 * 8
    assert steps[0].loss is None and all(math.isfinite(step.loss or 0.0) for step in steps)


def test_frozen_words_stay(tiny: Backbone, mug: Image.Image) -> None:
    concept = words_concept(tiny)
    frozen = dataclasses.replace(concept.words[0], trainable=False)
    concept = dataclasses.replace(concept, words=(frozen, *concept.words[1:]))
    last = list(invert(tiny, concept, [mug], FEW))[-1].concept
    moved = (last.vectors("clip_l") - concept.vectors("clip_l")).norm(dim=1)
    assert moved[0] == 0 and (moved[1:] > 0.01).all()


def test_bf16_learns_too(tiny_folder: Path, mug: Image.Image) -> None:
    coarse = backbones.load(str(tiny_folder), "cpu", "bf16")
    last = list(invert(coarse, words_concept(coarse), [mug], FEW))[-1].concept
    assert last.vectors("clip_l").dtype == torch.float32
    assert (last.vectors("clip_l") - words_concept(coarse).vectors("clip_l")).norm() > 0.01


def test_no_photo_is_refused(tiny: Backbone) -> None:
    with pytest.raises(UserError, match="no photo was given"):
        next(invert(tiny, words_concept(tiny), []))


def test_several_photos_and_style_templates(tiny: Backbone, mug: Image.Image) -> None:
    other = mug.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    settings = dataclasses.replace(FEW, learnable_property="style")
    one, both = (list(invert(tiny, words_concept(tiny), photos, settings))[-1] for photos in ([mug], [mug, other]))
    assert not torch.equal(one.concept.vectors("clip_l"), both.concept.vectors("clip_l"))


def test_the_caption_start_learns_a_drawing_on_the_pocket(pocket_model: Backbone, mug: Image.Image) -> None:
    """The method works: 40 steps lower the held-out loss, and a caption starts below a star."""
    settings = InvertSettings(steps=40, held_out=48, evaluate_every=40)
    losses = {}
    for init in ("caption", "star"):
        concept = start(init, [mug], pocket_model, name="mug")
        losses[init] = [
            s.held_out.mean().item() for s in invert(pocket_model, concept, [mug], settings) if s.held_out is not None
        ]
    assert losses["caption"][1] < 0.97 * losses["caption"][0]
    assert losses["caption"][0] < losses["star"][0] and losses["caption"][1] < losses["star"][1]


def test_a_concept_with_every_word_frozen_is_refused(tiny: Backbone, mug: Image.Image) -> None:
    concept = words_concept(tiny)
    frozen = tuple(dataclasses.replace(word, trainable=False) for word in concept.words)
    with pytest.raises(UserError, match="nothing to learn"):
        next(invert(tiny, dataclasses.replace(concept, words=frozen), [mug], FEW))


def test_each_steps_gradient_is_the_losss_in_each_word(tiny: Backbone, mug: Image.Image) -> None:
    concept = words_concept(tiny)
    frozen = dataclasses.replace(concept.words[0], trainable=False)
    concept = dataclasses.replace(concept, words=(frozen, *concept.words[1:]))
    first, second = list(invert(tiny, concept, [mug], dataclasses.replace(FEW, steps=1, optimizer="adamw")))
    assert first.gradient is None and second.gradient is not None
    assert second.gradient.shape == (len(concept),)
    assert second.gradient[0] == 0 and (second.gradient[1:] > 0).all()
    # AdamW's first moment after one step is a tenth of the gradient; of a frozen word there is none.
    moment = second.state["clip_l.exp_avg"].norm(dim=1)
    assert torch.allclose(moment, second.gradient[1:] / 10, rtol=1e-4)


def test_a_words_gradient_is_that_of_all_its_rows_in_all_text_encoders() -> None:
    """Of three words, the middle one frozen, with 2, 1, 1 tokens in one encoder and 1, 2, 3 in the other."""

    def word(text: str, one: int, other: int, trainable: bool) -> Word:
        return Word(text, {"clip_l": torch.ones(one, 4), "t5xxl": torch.ones(other, 6)}, trainable)

    words = word("teapot", 2, 1, True), word("and", 1, 2, False), word("mug", 1, 3, True)
    squares = {"clip_l": torch.tensor([1.0, 2.0, 3.0]), "t5xxl": torch.tensor([6.0, 1.0, 4.0, 8.0])}
    found = by_word(Concept("it", words, {"step": 0}), squares)
    assert torch.allclose(found, torch.tensor([9.0, 0.0, 16.0]).sqrt())


def test_evaluation_steps_can_be_listed(tiny: Backbone, mug: Image.Image) -> None:
    settings = dataclasses.replace(FEW, steps=4, evaluate_at=(1, 3))
    steps = list(invert(tiny, words_concept(tiny), [mug], settings))
    assert [step.index for step in steps if step.held_out is not None] == [0, 1, 3, 4]


def test_a_loss_that_is_no_number_at_the_start_is_said(tiny: Backbone, mug: Image.Image) -> None:
    concept = words_concept(tiny)
    broken = concept.with_vectors({"clip_l": torch.full_like(concept.vectors("clip_l"), math.nan)})
    with pytest.raises(Diverged, match="no number before any training"):
        next(invert(tiny, broken, [mug], FEW))
