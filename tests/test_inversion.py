"""The method: only placeholders learn, step 0 is the caption, runs resume to the same bits."""

from __future__ import annotations

import dataclasses
import math
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from photowords import backbones, formats, images, learning
from photowords.backbones import Backbone
from photowords.concept import Concept
from photowords.errors import PhotowordsWarning, UserError
from photowords.initializers import start
from photowords.inversion import Diverged, Problem, Run, invert
from photowords.inversion.loss import Batch, denoising_loss
from photowords.inversion.views import views
from photowords.settings import InvertSettings
from photowords.starts import Words

FEW = InvertSettings(steps=4, held_out=8, evaluate_every=2)


def words_start(backbone: Backbone, text: str = "blue checkered mug") -> Concept:
    return start(Words(words=text), [], backbone, "mug")


def test_no_tensor_but_the_words_ever_has_a_gradient(tiny: Any, mug: Image.Image) -> None:
    before = tiny.weights_hash()
    steps = list(invert(tiny, words_start(tiny), [mug], FEW))
    assert tiny.weights_hash() == before
    for module in (tiny._pipe.unet, tiny._pipe.vae, tiny._pipe.text_encoder):
        assert all(p.grad is None and not p.requires_grad for p in module.parameters())
    moved = steps[-1].concept.vectors("clip_l") - steps[0].concept.vectors("clip_l")
    assert (moved.norm(dim=1) > 0.01).all(), "every word has its own non-zero update"
    assert len({tuple(row.tolist()) for row in steps[-1].concept.vectors("clip_l")}) == 3


@pytest.mark.parametrize("model", ["tiny", "tiny_v"])
def test_step_0_is_the_caption_prompt_itself(model: str, request: pytest.FixtureRequest) -> None:
    backbone: Backbone = request.getfixturevalue(model)
    concept = words_start(backbone)
    spliced = backbone.encode_prompt([["a photo of a", *concept.refs, "on the beach"]], concept.embeddings())
    plain = backbone.encode_prompt([["a photo of a blue checkered mug on the beach"]], {})
    assert torch.equal(spliced["prompt_embeds"], plain["prompt_embeds"])


def test_the_gradient_of_the_splice_is_that_of_the_embedding_rows(tiny: Any) -> None:
    """Against finite differences, along the gradient, of a random linear function of the conditioning."""
    direction = torch.randn(1, 32, 32, generator=torch.Generator().manual_seed(0))
    concept = words_start(tiny, "blue mug")
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
    concept, settings = words_start(tiny), InvertSettings(held_out=10)
    rows = {"clip_l": concept.vectors("clip_l")}
    one, two = Problem(tiny, concept, [mug], (), settings), Problem(tiny, concept, [mug], (), settings)
    assert one.held_out_batch.t.tolist() == [50, 150, 250, 350, 450, 550, 650, 750, 850, 950]
    torch.manual_seed(123)
    assert torch.allclose(one.held_out(rows), two.held_out(rows, batch=3), atol=1e-5), "batch and seeds do not matter"
    assert one.held_out(rows).shape == (10,)


@pytest.mark.parametrize("photos", [1, 2, 3, 4, 9])
def test_every_photo_meets_every_template_in_the_held_out_loss(photos: int, tiny: Backbone, mug: Image.Image) -> None:
    settings = InvertSettings(held_out=27 * photos)
    problem = Problem(tiny, words_start(tiny), [mug.rotate(7 * k) for k in range(photos)], (), settings)
    batch = problem.held_out_batch
    met = {(float(z.sum()), int(prompt)) for z, prompt in zip(batch.latents, batch.prompt, strict=True)}
    assert len(met) == 27 * photos


def test_the_held_out_loss_is_evaluated_at_0_at_the_end_and_between(tiny: Backbone, mug: Image.Image) -> None:
    steps = list(invert(tiny, words_start(tiny), [mug], dataclasses.replace(FEW, steps=5)))
    assert [step.index for step in steps if step.held_out is not None] == [0, 2, 4, 5]
    assert steps[-1].sample_steps == 5 * 4 + 4 * 8
    assert steps[0].loss is None and all(math.isfinite(step.loss or 0.0) for step in steps)


def test_frozen_words_stay(tiny: Backbone, mug: Image.Image) -> None:
    concept = words_start(tiny)
    frozen = dataclasses.replace(concept.words[0], trainable=False)
    concept = dataclasses.replace(concept, words=(frozen, *concept.words[1:]))
    last = list(invert(tiny, concept, [mug], FEW))[-1].concept
    moved = (last.vectors("clip_l") - concept.vectors("clip_l")).norm(dim=1)
    assert moved[0] == 0 and (moved[1:] > 0.01).all()


def test_bf16_learns_too(tiny_folder: Path, mug: Image.Image) -> None:
    coarse = backbones.load(str(tiny_folder), "cpu", "bf16")
    last = list(invert(coarse, words_start(coarse), [mug], FEW))[-1].concept
    assert last.vectors("clip_l").dtype == torch.float32
    assert (last.vectors("clip_l") - words_start(coarse).vectors("clip_l")).norm() > 0.01


def test_no_photo_is_refused(tiny: Backbone) -> None:
    with pytest.raises(UserError, match="no photo was given"):
        next(invert(tiny, words_start(tiny), []))


def test_several_photos_and_style_templates(tiny: Backbone, mug: Image.Image) -> None:
    other = mug.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    settings = dataclasses.replace(FEW, kind="style")
    one, both = (list(invert(tiny, words_start(tiny), photos, settings))[-1] for photos in ([mug], [mug, other]))
    assert not torch.equal(one.concept.vectors("clip_l"), both.concept.vectors("clip_l"))


def learn(backbone: Backbone, out: Path, photo: Path, settings: InvertSettings) -> dict[str, Any]:
    return learning.learn(backbone, [photo], out, Words(words="blue checkered mug"), "mug", settings, samples=0)


@pytest.fixture
def photo(tmp_path: Path, mug: Image.Image) -> Path:
    path = tmp_path / "mug.png"
    mug.save(path)
    return path


def test_a_stopped_run_resumes_to_the_same_bits(tiny: Backbone, photo: Path, tmp_path: Path) -> None:
    settings = InvertSettings(steps=6, held_out=8, evaluate_every=2)
    learn(tiny, tmp_path / "whole", photo, settings)

    class Killed(Exception):
        pass

    run = learning.begin(tiny, [photo], tmp_path / "cut", Words(words="blue checkered mug"), "mug", settings, 0)
    with pytest.raises(Killed), learning.course(run, tiny) as taken:
        for step in taken:
            if step.index == 3:
                raise Killed
    learning.go_on(Run.open(tmp_path / "cut"), tiny)
    for name in ("concept.safetensors", "losses.jsonl", "checkpoints/000006.safetensors"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


@pytest.mark.parametrize("failing", ["losses.jsonl", "concept.safetensors", "000004.safetensors"])
def test_a_kill_between_any_two_files_loses_nothing(
    failing: str, tiny: Backbone, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = InvertSettings(steps=4, held_out=8, evaluate_every=2)
    learn(tiny, tmp_path / "whole", photo, settings)
    replace, seen = os.replace, 0

    def killed(source: Any, target: Any) -> None:
        nonlocal seen
        seen += Path(target).name == failing
        last = 1 if failing.startswith("0") else 3  # of steps 0, 2 and 4
        if Path(target).name == failing and seen >= last:
            raise KeyboardInterrupt
        replace(source, target)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "replace", killed)
        learn(tiny, tmp_path / "cut", photo, settings)
    learning.go_on(Run.open(tmp_path / "cut"), tiny)
    for name in ("concept.safetensors", "losses.jsonl"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def test_a_run_that_could_not_be_made_leaves_its_folder_free(
    tiny: Backbone, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(source: object, target: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(UserError, match="No space left"):
        patch.setattr(os, "replace", full)
        learn(tiny, tmp_path / "run", photo, FEW)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mug.png"]
    learn(tiny, tmp_path / "run", photo, FEW)


def test_a_finished_run_can_be_asked_for_more_steps(tiny: Backbone, photo: Path, tmp_path: Path) -> None:
    learn(tiny, tmp_path / "long", photo, InvertSettings(steps=4, held_out=8, evaluate_every=2))
    learn(tiny, tmp_path / "short", photo, InvertSettings(steps=2, held_out=8, evaluate_every=2))
    result = learning.go_on(Run.open(tmp_path / "short"), tiny, steps=4)
    assert [row["step"] for row in result["held_out_loss"]["curve"]] == [0, 2, 4]
    long, short = (Run.open(tmp_path / name).losses() for name in ("long", "short"))
    assert long == short
    assert Run.open(tmp_path / "short").settings.steps == 4, "the longer goal is remembered"
    with pytest.raises(UserError, match="already has 4 steps"):
        learning.go_on(Run.open(tmp_path / "short"), tiny, steps=3)


def test_a_run_asked_for_more_steps_is_the_run_made_for_them(tiny: Backbone, photo: Path, tmp_path: Path) -> None:
    """Also where the first end, step 3, is no step of the longer run's evaluations."""
    learn(tiny, tmp_path / "long", photo, InvertSettings(steps=5, held_out=8, evaluate_every=2))
    learn(tiny, tmp_path / "short", photo, InvertSettings(steps=3, held_out=8, evaluate_every=2))
    learning.go_on(Run.open(tmp_path / "short"), tiny, steps=5)
    for name in ("concept.safetensors", "start.safetensors", "losses.jsonl", "settings.json"):
        assert (tmp_path / "short" / name).read_bytes() == (tmp_path / "long" / name).read_bytes(), name
    left, right = (sorted(p.name for p in (tmp_path / run / "checkpoints").iterdir()) for run in ("short", "long"))
    assert left == right


def test_a_loss_above_the_starts_is_said(tiny: Backbone, photo: Path, tmp_path: Path) -> None:
    with pytest.warns(PhotowordsWarning, match=r"the held-out loss after step [\d, ]+ lies above the start's"):
        learn(tiny, tmp_path / "run", photo, FEW)


def test_the_seconds_of_a_resumed_run_are_those_of_all_its_parts(tiny: Backbone, photo: Path, tmp_path: Path) -> None:
    whole = learn(tiny, tmp_path / "run", photo, FEW)["seconds"]
    again = learning.go_on(Run.open(tmp_path / "run"), tiny)["seconds"]
    assert again["invert"] >= whole["invert"] and again["read"] == whole["read"]
    more = learning.go_on(Run.open(tmp_path / "run"), tiny, steps=6)["seconds"]
    assert more["invert"] > again["invert"]


def test_nan_stops_the_run_and_keeps_the_last_good_concept(
    tiny: Any, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, predict = 0, tiny.predict

    def spoiled(noisy: Tensor, t: Tensor, conditioning: Tensor) -> Tensor:
        nonlocal calls
        calls += len(t) == 4  # a training step, not the held-out loss
        return predict(noisy, t, conditioning) * (float("nan") if calls == 3 and len(t) == 4 else 1.0)

    monkeypatch.setattr(tiny, "predict", spoiled)
    with pytest.raises(Diverged, match="became nan at step 3; the concept of step 2 is kept"):
        learn(tiny, tmp_path / "run", photo, InvertSettings(steps=6, held_out=8, evaluate_every=5))
    kept = formats.read(tmp_path / "run")
    assert kept.provenance["step"] == 2 and kept.vectors("clip_l").isfinite().all()


def test_a_folder_in_use_is_never_overwritten(tiny: Backbone, photo: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match="is not empty"):
        learn(tiny, tmp_path / "mine", photo, FEW)
    learn(tiny, tmp_path / "run", photo, FEW)
    with pytest.raises(UserError, match="already holds a run; `resume` it"):
        learn(tiny, tmp_path / "run", photo, FEW)
    with pytest.raises(UserError, match="is a file"):
        learn(tiny, photo, photo, FEW)
    with pytest.raises(UserError, match="not a run of photowords"):
        Run.open(tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"


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


def rectangle(size: tuple[int, int], box: tuple[int, int, int, int]) -> Image.Image:
    mask = Image.new("L", size)
    mask.paste(255, box)
    return mask


def test_a_mask_weighs_latent_cells_by_area_with_mean_one(tiny: Backbone, mug: Image.Image) -> None:
    mask = rectangle(mug.size, (0, 0, 144, 256))  # 4.5 of the 8 columns of latent cells
    weight = views(tiny, [mug], [mask])[0].weight
    row = torch.tensor([1.0, 1, 1, 1, 0.55, 0.1, 0.1, 0.1])
    assert torch.allclose(weight, (row / row.mean()).expand(1, 1, 8, 8), atol=1e-5)
    half = views(tiny, [mug], [mask], background_weight=0.5)[0].weight
    assert half[0, 0, 0, 7] / half[0, 0, 0, 0] == pytest.approx(0.5)
    assert torch.equal(views(tiny, [mug])[0].weight, torch.ones(1, 1, 8, 8))
    everywhere = views(tiny, [mug], [rectangle(mug.size, (0, 0, 256, 256))])[0].weight
    assert torch.allclose(everywhere, torch.ones(1, 1, 8, 8))


def test_crops_and_flips_move_mask_and_picture_together(tiny: Backbone) -> None:
    wide = Image.new("RGB", (400, 100), "white")
    wide.paste("red", (330, 20, 390, 80))
    mask = rectangle(wide.size, (330, 20, 390, 80))
    for mirrored in (False, True):
        view = views(tiny, [wide], [mask], 0.0, mirrored)[0]
        square = wide.crop((321, 11, 398, 88))  # 60 pixels are 78 % of 77
        picture = images.to_tensor(square, 64)
        picture = picture.flip(-1) if mirrored else picture
        assert torch.equal(view.latents.mean, tiny.encode_picture(picture).mean), "the crop holds the object"
        columns = view.weight[0, 0].sum(0)
        centre = (columns * torch.arange(8)).sum() / columns.sum()
        assert centre == pytest.approx(
            7 - 3.55 if mirrored else 3.55, abs=0.05
        )  # pixels 9-69 of 77: the cells 0.94-7.17


def test_learning_with_flips_draws_both_sides(tiny: Backbone, mug: Image.Image) -> None:
    plain = list(invert(tiny, words_start(tiny), [mug], FEW))
    flipped = list(invert(tiny, words_start(tiny), [mug], dataclasses.replace(FEW, flip=True)))
    before, after = plain[0].held_out, flipped[0].held_out
    assert before is not None and after is not None
    assert torch.equal(before, after), "the held-out loss is on the photo as it is"
    assert plain[-1].loss != flipped[-1].loss


def test_the_background_counts_less_with_a_mask(tiny: Backbone, mug: Image.Image) -> None:
    mask = rectangle(mug.size, (64, 64, 192, 192))
    alike = dataclasses.replace(FEW, background_weight=1.0)
    square = mug.crop(images.square_box(mug.size, mask))
    plain = [step.loss for step in invert(tiny, words_start(tiny), [square], FEW)]
    assert [step.loss for step in invert(tiny, words_start(tiny), [mug], alike, masks=[mask])] == plain
    masked = [step.loss for step in invert(tiny, words_start(tiny), [mug], FEW, masks=[mask])]
    assert all(a != b for a, b in zip(masked[1:], plain[1:], strict=True))


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (Image.new("L", (20, 20), 255), "the mask is 20x20 pixels, but its photo is 256x256"),
        (Image.new("L", (256, 256)), "the mask is empty"),
    ],
)
def test_masks_that_do_not_fit_are_refused(tiny: Backbone, mug: Image.Image, mask: Image.Image, message: str) -> None:
    with pytest.raises(UserError, match=message):
        next(invert(tiny, words_start(tiny), [mug], FEW, masks=[mask]))


def test_a_concept_with_every_word_frozen_is_refused(tiny: Backbone, mug: Image.Image) -> None:
    concept = words_start(tiny)
    frozen = tuple(dataclasses.replace(word, trainable=False) for word in concept.words)
    with pytest.raises(UserError, match="nothing to learn"):
        next(invert(tiny, dataclasses.replace(concept, words=frozen), [mug], FEW))


def test_each_steps_gradient_is_the_losss_in_each_word(tiny: Backbone, mug: Image.Image) -> None:
    concept = words_start(tiny)
    frozen = dataclasses.replace(concept.words[0], trainable=False)
    concept = dataclasses.replace(concept, words=(frozen, *concept.words[1:]))
    first, second = list(invert(tiny, concept, [mug], dataclasses.replace(FEW, steps=1, weight_decay=0.0)))
    assert first.gradient is None and second.gradient is not None
    assert second.gradient.shape == (len(concept),)
    assert second.gradient[0] == 0 and (second.gradient[1:] > 0).all()
    # AdamW's first moment after one step is a tenth of the gradient.
    moment = second.state["clip_l.exp_avg"].norm(dim=1)
    assert torch.allclose(moment, second.gradient / 10, rtol=1e-4)


def test_evaluation_steps_can_be_listed(tiny: Backbone, mug: Image.Image) -> None:
    settings = dataclasses.replace(FEW, steps=4, evaluate_at=(1, 3))
    steps = list(invert(tiny, words_start(tiny), [mug], settings))
    assert [step.index for step in steps if step.held_out is not None] == [0, 1, 3, 4]


def test_a_loss_that_is_no_number_at_the_start_is_said(tiny: Backbone, mug: Image.Image) -> None:
    concept = words_start(tiny)
    broken = concept.with_vectors({"clip_l": torch.full_like(concept.vectors("clip_l"), math.nan)})
    with pytest.raises(Diverged, match="no number before any training"):
        next(invert(tiny, broken, [mug], FEW))
