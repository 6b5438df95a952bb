"""What a run may begin with: paths as text, a concept that was learned before, the words of a job."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import pytest
from PIL import Image
from safetensors.torch import save_file

import photowords as pw
from photowords import files, formats, jobs, learning, pocket
from photowords.backbones import Backbone
from photowords.errors import PhotowordsWarning
from photowords.initializers import start
from photowords.inversion import Run
from photowords.jobs import Job
from photowords.segmentation import Selection
from photowords.starts import Words
from tests.small_models import FEW


@pytest.fixture
def photo(tmp_path: Path, mug: Image.Image) -> Path:
    path = tmp_path / "mug.png"
    mug.save(path)
    return path


def test_paths_may_be_text(tiny: Backbone, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pw.learn(tiny, [str(photo)], "run", pw.Words("red mug"), settings=FEW, samples=0)
    run = pw.Run.open("run")
    assert run.result()["name"] == "concept" and (tmp_path / "run" / "photos" / "0.png").exists()
    learning.go_on(run, tiny, FEW.steps + 1)
    with pytest.raises(pw.UserError, match="nowhere is not a run of photowords"):
        pw.Run.open("nowhere")
    created = Run.create("made", FEW, run.about, run.photos(), run.start())
    assert os.path.isdir("made") and created.start().texts == ("red", "mug")


def test_of_every_photo_what_is_learned_is_looked_at(pocket_model: Backbone, tmp_path: Path) -> None:
    """A second photo's object may stand beside what the model does not know."""
    wide = Image.effect_noise((512, 256), 90).convert("RGB")
    wide.paste(Image.open(pocket.view("teapot")).convert("RGB"), (0, 0))
    wide.save(tmp_path / "wide.png")
    mask = Image.new("L", wide.size)
    mask.paste(255, (10, 10, 246, 246))
    photos = [pocket.view("mug"), tmp_path / "wide.png"]
    with warnings.catch_warnings():
        warnings.simplefilter("error", PhotowordsWarning)
        learning.begin(
            pocket_model, photos, tmp_path / "a", Words(words="red mug"), None, FEW, 0, [None, Selection(mask, "m")]
        )
    with pytest.warns(PhotowordsWarning, match="photo 2 lies outside"):
        learning.begin(pocket_model, photos, tmp_path / "b", Words(words="red mug"), None, FEW, 0)


def test_a_concept_of_a_foreign_file_is_a_start(tiny: Backbone, photo: Path, tmp_path: Path) -> None:
    made = pw.start(pw.Words("red mug"), [], tiny)
    save_file({"emb_params": made.vectors("clip_l")}, tmp_path / "foreign.safetensors")
    foreign = pw.read(tmp_path / "foreign.safetensors")
    result = pw.learn(tiny, [photo], tmp_path / "run", foreign, settings=FEW, samples=1)
    run = pw.Run.open(tmp_path / "run")
    assert (run.about["init"], result["name"], run.start().provenance["step"]) == ("concept", "foreign", 0)


def test_a_learned_concept_is_step_0_of_another_run(tiny: Backbone, photo: Path, tmp_path: Path) -> None:
    mask = Image.new("L", Image.open(photo).size)
    mask.paste(255, (40, 40, 200, 200))
    marked = [Selection(mask, "mask.png")]
    learning.learn(tiny, [photo], tmp_path / "a", pw.Words("red mug"), "mug", FEW, 0, marked)
    learned = pw.read(tmp_path / "a")
    assert learned.provenance["step"] == FEW.steps

    for out, name, known in (("b", "cup", "cup"), ("c", None, "mug")):
        result = pw.learn(tiny, [photo], tmp_path / out, learned, name, FEW, samples=1)
        run = pw.Run.open(tmp_path / out)
        start = run.start()
        assert result["name"] == run.about["name"] == start.name == known
        assert formats.read(run.concept_file).name == known and run.about["init"] == "words"
        assert start.provenance["step"] == 0 and "scores" not in start.provenance
        assert start.vectors("clip_l").equal(learned.vectors("clip_l"))
        pictures = sorted(path.name for path in (run.folder / "samples").iterdir())
        assert pictures == [f"step_{step:06d}.png" for step in (0, FEW.steps)]
        assert run.masks() == [None], "the mask was the other run's"


@pytest.mark.parametrize("words", ["drawing of a mug", "the mug", "this is fine art", "a"])
def test_a_jobs_words_are_learned_as_they_were_written(
    words: str, tiny: Backbone, mug: Image.Image, tmp_path: Path
) -> None:
    files.make_folder(tmp_path / jobs.FOLDER)
    mug.save(jobs.photo(tmp_path, 0))
    Job("cup", tuple((word, True) for word in words.split())).write(tmp_path)
    run = learning.begin_job(tiny, tmp_path)
    assert [text for text, _ in run.about["words"]] == words.split() and run.about["name"] == "cup"
    assert "start" not in run.about


def test_a_start_says_what_kind_of_model_it_is_for(tiny: Backbone, tiny_v: Backbone) -> None:
    for model, predicts in ((tiny, "epsilon"), (tiny_v, "v_prediction")):
        told = start(Words(words="mug"), [], model).provenance
        kept = [told[key] for key in ("pipeline", "prediction_type", "picture_size", "fingerprint", "step")]
        assert kept == ["StableDiffusionPipeline", predicts, model.picture_size, model.fingerprint, 0]
