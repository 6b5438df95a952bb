"""What a trial's name holds, and what its noise is drawn from."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image

from photowords import backbones, clip, pocket, pretrained, study
from photowords.backbones import Backbone
from photowords.errors import UserError
from photowords.evaluation import EDITS, Protocol
from photowords.study import grid, measured, plan
from photowords.study.sources import ConceptSource, Photo
from photowords.study.trial import Job, begin, work
from tests.study.small_study import SMALL, prepare, write


def test_ids_hold_what_determines_the_result_and_nothing_else(
    prepared: study.Prepared, tmp_path: Path, tiny_folder: Path
) -> None:
    ids = [trial.id for trial in prepared.trials]
    assert [id_.rsplit("-", 1)[0] for id_ in ids] == ["mug-star-s3", "mug-words-s3", "cup-star-s3", "cup-words-s3"]

    def again(old: str, new: str) -> list[str]:
        file = write(tmp_path, SMALL.replace(old, new))
        return [trial.id for trial in prepare(file, tiny_folder).trials]

    block = '[[report]]\nkind = "curves"\nmetrics = ["pocket-lpips"]\n[[arms]]\nname = "words"\nlabel = "another"'
    assert again('[[arms]]\nname = "words"\nlabel = "the words"', block) == ids
    slower = again("steps = 3", "steps = 3\nlr = 0.01")
    assert slower[::2] == ids[::2] and not set(slower[1::2]) & set(ids)
    assert not set(again("held_out = 6", "held_out = 7")) & set(ids)
    assert not set(again("score_at = [0, 2]", "score_at = [2]")) & set(ids)
    assert not set(again("evaluate_at = [0, 2]", "evaluate_at = [0, 1, 2]")) & set(ids)


def test_names_of_metrics_are_understood_in_the_suite_of_the_model(pocket_model: Backbone, tiny: Backbone) -> None:
    names = ["lpips", "sifid", "clip-reconstruction", "clip-editability"]
    assert [metric.name for metric in measured.metrics(names, pocket_model)] == ["pocket-" + name for name in names]
    assert [metric.name for metric in measured.metrics(names, tiny)] == ["lpips-vgg", *names[1:]]
    assert [metric.name for metric in measured.metrics(["lpips-alex"], pocket_model)] == ["lpips-alex"]
    with pytest.raises(UserError, match="pocket-lpips is asked for twice on pocket"):
        measured.metrics(["lpips", "pocket-lpips"], pocket_model)


def test_the_prompts_that_metrics_share_are_counted_once() -> None:
    protocol = Protocol.for_property("object", ["a {}", "the {}"], ["a {} in the snow", "the {}"])
    counts = {"psnr": 2, "lpips-vgg clip-reconstruction": 2, "clip-reconstruction": 1, "dino": 2, "sifid clip-t": 3}
    assert {names: measured.prompts(names.split(), protocol) for names in counts} == counts


# Two starts that ask no reader, one that the captioner is asked for, one that both are.
READING = """
[[arms]]
name = "caption"
init = "caption"
[[arms]]
name = "class"
init = "class"
[[arms]]
name = "class-repeated"
init = "class-repeated"
"""


def test_noise_is_each_concepts_own_and_the_same_in_all_arms(prepared: study.Prepared, finished: Path) -> None:
    """One noise for all concepts would not average out over them, and no interval over concepts would see it."""
    mug, mugs, cup, cups = prepared.trials
    assert mug.noise_seed == mugs.noise_seed != cup.noise_seed == cups.noise_seed
    assert (
        grid.noise_seed(["a"], 3) == grid.noise_seed(["a"], 3) != grid.noise_seed(["a"], 4) != grid.noise_seed(["b"], 4)
    )
    assert grid.noise_seed(["a", "a mask"], 3) != grid.noise_seed(["a", "another"], 3) != grid.noise_seed(["a"], 3)
    assert [trial.spec["seed"] for trial in prepared.trials] == [3] * 4
    assert not any(trial.spec["cut"] for trial in prepared.trials), "the bank's photos are square"
    # The noise seed is the inversion's.
    outcome = work(prepared.job(dataclasses.replace(mug, noise_seed=3)))
    before = json.loads((finished / "trials" / f"{mug.id}.json").read_text())
    assert outcome.record and outcome.record["training_loss"] != before["training_loss"]
    assert outcome.record["checkpoints"][0] == before["checkpoints"][0]


def test_ids_hold_the_readers_that_were_asked_and_their_weights(tmp_path: Path, tiny_folder: Path) -> None:
    """Swapped defaults must not pass for the trials that others had started."""
    model = shutil.copytree(tiny_folder, tmp_path / "model")

    def ids(captioner: Path, classifier: Path) -> dict[str, str]:
        readers = {"captioner": str(captioner), "classifier": str(classifier), "clip": str(pocket.CLIP)}
        world = {"known_words": ["*"], "farthest": 9.0, "readers": readers}
        shutil.copy(pocket.PIPELINE / "world.safetensors", model)
        (model / "world.json").write_text(json.dumps(world))
        text = SMALL.replace('concepts = ["mug", "cup"]', 'concepts = ["mug"]') + READING
        backbone = backbones.load(str(model), "cpu", "fp32")
        return {trial.arm.name: trial.id for trial in grid.trials(plan.read(write(tmp_path, text)), backbone, {})}

    def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
        return {arm for arm in before if before[arm] != after[arm]}

    first = ids(pocket.CAPTIONER, pocket.CLASSIFIER)
    copied = {path.name: shutil.copytree(path, tmp_path / path.name) for path in (pocket.CAPTIONER, pocket.CLASSIFIER)}
    assert ids(copied["captioner"], copied["classifier"]) == first  # where a folder lies changes nothing
    with (copied["captioner"] / "model.safetensors").open("ab") as weights:
        weights.write(b"x")
    elsewhere = shutil.move(copied["captioner"], tmp_path / "a" / "captioner")  # hashes are kept by path
    assert changed(first, ids(Path(elsewhere), pocket.CLASSIFIER)) == {"caption", "class-repeated"}
    (tmp_path / "b").mkdir()
    other = shutil.copytree(pocket.CLASSIFIER, tmp_path / "b" / "another-name")
    assert changed(first, ids(pocket.CAPTIONER, other)) == {"class", "class-repeated"}


def test_ids_hold_the_weights_of_the_scorers(tmp_path: Path, tiny: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    read = plan.read(write(tmp_path, SMALL.replace("pocket-lpips", "pocket-clip-reconstruction")))
    (first, *_) = grid.trials(read, tiny, {})
    assert first.spec["scorers"]["pocket-clip-reconstruction"].startswith("the pocket's own CLIP clip ")
    monkeypatch.setattr(pretrained, "_folder_digest", lambda path: "0" * 16)
    monkeypatch.setattr(clip, "load", pretrained.Kept(clip.Clip))  # as another process would load it
    assert grid.trials(read, tiny, {})[0].id != first.id


def test_another_concepts_picture_is_never_its_own_and_is_another_for_another_seed() -> None:
    concepts = [ConceptSource(name, (Photo(Path(f"{name}.png")),)) for name in "abc"]
    found = [[concepts.index(grid._other(concepts, n, seed) or concepts[n]) for n in range(3)] for seed in (0, 1, 2)]
    assert found == [[1, 2, 0], [2, 0, 1], [1, 2, 0]]
    assert grid._other(concepts[:1], 0, 0) is None


def test_the_class_of_a_concept_is_what_class_text_says(tmp_path: Path, tiny: Backbone) -> None:
    text = SMALL.replace('"mug", "cup"', '{photo = "mug", class = "coffee mug"}, "cup"')
    mug, _, cup, _ = grid.trials(plan.read(write(tmp_path, text)), tiny, {})
    assert (mug.protocol.class_word, cup.protocol.class_word) == ("coffee mug", "")


def test_what_learns_a_style_is_drawn_in_the_prompts_of_styles(tmp_path: Path, tiny: Backbone) -> None:
    text = SMALL.replace("held_out = 6", 'held_out = 6\nlearnable_property = "style"')
    for trial in grid.trials(plan.read(write(tmp_path, text)), tiny, {}):
        assert trial.protocol.prompts == trial.picture_prompts == ("a painting in the style of {}",)
        assert trial.protocol.edits == EDITS["style"]


def test_a_random_start_is_another_for_another_noise(tmp_path: Path, tiny: Backbone, mug: Image.Image) -> None:
    text = SMALL.replace('init = "star"', 'init = "random"\nnum_vectors = 2')
    trial = grid.trials(plan.read(write(tmp_path, text)), tiny, {})[0]
    trials = [dataclasses.replace(trial, noise_seed=seed) for seed in (1, 1, 2)]
    jobs = [Job(trial, [mug], [None], None, [], {}, tiny.source, "cpu", "fp32") for trial in trials]
    first, again, other = (begin(job, tiny).vectors("clip_l") for job in jobs)
    assert torch.equal(first, again) and not torch.equal(first, other)
