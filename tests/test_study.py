"""Studies: the file is checked, trials are the same wherever they run, and a kill at any moment costs only its own."""

from __future__ import annotations

import dataclasses
import errno
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import pytest

from photowords import backbones, clip, files, pocket, pretrained, study
from photowords.backbones import Backbone
from photowords.cli import main
from photowords.errors import PhotowordsWarning, UserError
from photowords.evaluation import Protocol
from photowords.study import cost, grid, measured, plan, runner, workers
from photowords.study.trial import Outcome, work
from photowords.study.workers import Event

DEAD = 2**22 + 1  # a process number that Linux never gives
STUDIES = sorted((Path(__file__).parents[1] / "studies").glob("*.toml"))
SMALL = """
name = "small"
question = "Does it work?"
concepts = ["mug", "cup"]
seeds = [3]
metrics = ["pocket-lpips"]
samples = 1
evaluate_at = [0, 2]
score_at = [0, 2]
pictures_at = [2]
[settings]
steps = 2
held_out = 6
[[arms]]
name = "star"
init = "star"
[[arms]]
name = "words"
label = "the words"
init = "words"
words = "a red mug"
steps = 3
"""


def write(folder: Path, text: str = SMALL) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "study.toml"
    file.write_text(text, encoding="utf-8")
    return file


def results(folder: Path) -> dict[str, bytes]:
    """Everything in a study's folder but its report and what is no result."""
    skipped = ("report", "timings.jsonl", "errors.log", files.LOCK)
    found = {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if not name.startswith(skipped)}


def serially(jobs: Sequence[Any], count: int) -> Generator[Event, None, None]:
    """As workers.on_processes, here."""
    for index, job in enumerate(jobs):
        yield Event(index)
        yield Event(index, work(job))


def prepare(file: Path, model: Path) -> study.Prepared:
    return study.prepare(file, str(model), "cpu", "fp32")


class Silent:
    """A watcher that counts."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.done_before: list[str] = []

    def begin(self, trials: Any, done: Any, seconds: float, workers: int | None) -> None:
        self.done_before = [trial.id for trial in done]

    def started(self, trial: Any) -> None:
        self.begun.append(trial.id)

    def ended(self, trial: Any, outcome: Outcome, seconds_left: float) -> None:
        assert seconds_left >= 0


@pytest.fixture(scope="module")
def prepared(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> study.Prepared:
    """The small study on a random Stable Diffusion, whose trials take a second."""
    return prepare(write(tmp_path_factory.mktemp("small")), tiny_folder)


@pytest.fixture(scope="module")
def finished(prepared: study.Prepared, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small study, run in this process."""
    out = tmp_path_factory.mktemp("finished") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workers, "on_processes", serially)
        summary = study.run(prepared, out, Silent())
    assert summary["done"] == summary["trials"] == 4
    return out


@pytest.fixture
def half(finished: Path, prepared: study.Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same folder without its last two trials, and runs in this process."""
    monkeypatch.setattr(workers, "on_processes", serially)
    monkeypatch.setattr(runner, "report", lambda out: {})
    out = tmp_path / "half"
    for name, data in results(finished).items():
        if not any(trial.id in name for trial in prepared.trials[2:]):
            files.make_folder((out / name).parent)
            (out / name).write_bytes(data)
    return out


# --- the file ---


@pytest.mark.parametrize("file", STUDIES, ids=lambda file: file.stem)
def test_shipped_studies_are_whole(file: Path) -> None:
    read = plan.read(file)
    assert read.name == file.stem and read.question and read.report and len(read.seeds) * len(read.arms) >= 2
    assert file.read_text().startswith("# ") and "On the pocket with 2 cores" in file.read_text()


def test_shipped_studies_are_the_ones_that_the_paper_needs() -> None:
    assert {file.stem for file in STUDIES} >= {
        "convergence",
        "tokens",
        "gallery",
        "personalised",
        "poster",
        "quick",
        "reach",
        "bank",
    }


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("samples = 1", "samples = ", "not a TOML file.*line 7"),
        ("samples = 1", "samles = 1", "unknown key 'samles'.*samples"),
        ("samples = 1", "samples = 1.5", "samples of the study is 1.5, but it must be a whole number"),
        ("samples = 1", "samples = 0", "at least 1"),
        ("samples = 1", "samples = true", "must be a whole number"),
        ('name = "small"', "", "has no name"),
        ('name = "small"', 'name = "A b"', "small letters"),
        ("held_out = 6", 'held_out = "six"', r"\[settings\]: held_out is 'six', but it must be a whole number"),
        ("held_out = 6", "seed = 6", "unknown key 'seed'"),
        ("held_out = 6", 'kind = "thing"', "kind is 'thing', but it must be one of object, style"),
        ("held_out = 6", "lr = -1", "lr is -1, but it must be a number above 0"),
        ('init = "star"', 'init = "stars"', "arm star: there is no init 'stars'; choose from caption.*multi-star"),
        ('init = "star"', 'init = "words"', "arm star has no words for mug"),
        (
            'init = "star"',
            'init = "star"\nwords = "mug"',
            "arm star: words goes with init words, not with init star",
        ),
        ('init = "star"', 'init = "star"\ncolour = "red"', "unknown key 'colour'"),
        ('name = "words"', 'name = "star"', "arms has 'star' twice"),
        ('concepts = ["mug", "cup"]', 'concepts = ["mug", "cpu"]', "cpu does not exist.*backpack"),
        ('concepts = ["mug", "cup"]', 'concepts = ["mug", "mug"]', "concepts has 'mug' twice"),
        ('concepts = ["mug", "cup"]', "concepts = 3", 'concepts must be "bank"'),
        ('concepts = ["mug", "cup"]', 'concepts = [{name = "a", path = "b"}]', "unknown key 'path'"),
        ("seeds = [3]", 'seeds = "3-"', "not understood"),
        ("seeds = [3]", "seeds = [-3]", "seeds must be"),
        ("seeds = [3]", "seeds = [3, 3]", "seeds has 3 twice"),
        ("evaluate_at = [0, 2]", "evaluate_at = [0, 2, 9]", "evaluate_at asks for step 9, but no arm has more than 3"),
        ("evaluate_at = [0, 2]", "evaluate_at = [0, -2]", "holds -2"),
        ("score_at = [0, 2]", "score_at = [0, 1]", "score_at has step 1, which evaluate_at has not"),
        ("pictures_at = [2]", "pictures_at = [1]", "pictures_at has step 1, which evaluate_at has not"),
        ("score_at = [0, 2]\npictures_at = [2]", "score_at = []", "score_at is empty, but the study has metrics"),
        ('init = "star"', 'init = "star"\ndrop = ["red"]', "drop goes with init caption or class or"),
        ('init = "star"', 'init = "star"\ncaptioner = "a"', "captioner goes with init caption or"),
        ("[settings]", '[[report]]\nkind = "pie"\n[settings]', "'pie' is unknown.*curves"),
    ],
)
def test_a_bad_file_gets_one_sentence(tmp_path: Path, old: str, new: str, said: str) -> None:
    file = write(tmp_path, SMALL.replace(old, new, 1))
    with pytest.raises(UserError, match=said) as caught:
        plan.read(file)
    assert str(file) in str(caught.value) and "\n" not in str(caught.value)


def test_true_views_are_missed_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "mine.png").write_bytes(pocket.view("mug").read_bytes())
    text = SMALL.replace("pocket-lpips", "psnr")
    assert plan.read(write(tmp_path, text)).metrics == ("psnr",)  # the bank's concepts have other views
    with pytest.raises(UserError, match=r"psnr compares with true views, and concept mine has none; add truth"):
        plan.read(write(tmp_path, text.replace('"cup"', '"mine.png"')))


def test_a_missing_file_gets_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.toml cannot be read"):
        plan.read(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("metric", "said"),
    [
        ("lpisp", "metric 'lpisp' is unknown"),
        ("held-out-loss", "measured in every study"),
        ("word-swap", "a word to swap, which a study has not; photowords evaluate takes one as `swap`"),
        ("lpips", r"the weights .* are not in"),  # VGG's are nowhere here, which is found out before any training
    ],
)
def test_a_metric_that_cannot_be_had_is_refused_before_anything_runs(
    tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, metric: str, said: str
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(UserError, match=said):
        prepare(write(tmp_path, SMALL.replace("pocket-lpips", metric)), tiny_folder)


def test_steps_are_clipped_to_each_arm_and_its_last_is_measured(tmp_path: Path) -> None:
    arms = plan.read(write(tmp_path)).arms
    assert [arm.settings.evaluate_at for arm in arms] == [(0, 2), (0, 2, 3)]
    assert [arm.score_at for arm in arms] == [(0, 2), (0, 2)]
    assert [arm.label for arm in arms] == ["star", "the words"]


def test_a_concept_of_ones_own(tmp_path: Path) -> None:
    table = 'concepts = [{name = "mine", photo = "a b.png", class = "coffee mug", truth = ["a b.png"]}, "teapot"]'
    (tmp_path / "a b.png").write_bytes(pocket.view("mug").read_bytes())
    mine, teapot = plan.read(write(tmp_path, SMALL.replace('concepts = ["mug", "cup"]', table))).concepts
    assert (mine.name, mine.label, mine.photos[0].path, mine.truth) == (
        "mine",
        "coffee mug",
        tmp_path / "a b.png",
        (tmp_path / "a b.png",),
    )
    assert [path.name for path in teapot.truth] == ["view_1.png", "view_2.png", "view_3.png", "view_4.png"]
    with pytest.raises(UserError, match="'a b' cannot be used as a name"):
        plan.read(write(tmp_path, SMALL.replace('["mug", "cup"]', '["a b.png"]')))


# --- the grid ---


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


def test_names_of_metrics_are_understood_in_the_suite_of_the_model(pocket_model: Backbone, tiny: Backbone) -> None:
    names = ["lpips", "sifid", "clip-reconstruction", "clip-editability"]
    assert [metric.name for metric in measured.metrics(names, pocket_model)] == ["pocket-" + name for name in names]
    assert [metric.name for metric in measured.metrics(names, tiny)] == ["lpips-vgg", *names[1:]]
    assert [metric.name for metric in measured.metrics(["lpips-alex"], pocket_model)] == ["lpips-alex"]
    with pytest.raises(UserError, match="pocket-lpips is asked for twice on pocket"):
        measured.metrics(["lpips", "pocket-lpips"], pocket_model)


def test_the_prompts_that_metrics_share_are_counted_once() -> None:
    protocol = Protocol.of_kind("object", ["a {}", "the {}"], ["a {} in the snow", "the {}"])
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
    assert [trial.spec["seed"] for trial in prepared.trials] == [3] * 4
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


# --- the trials ---


def test_a_trials_file_says_it_all(prepared: study.Prepared, finished: Path) -> None:
    trial = prepared.trials[1]
    record = json.loads((finished / "trials" / f"{trial.id}.json").read_text())
    assert record["spec"] == json.loads(json.dumps(trial.spec)) and record["arm"] == "words"
    assert record["sentence"] == "red mug" and record["placeholders"] == 2
    assert record["caption"] is record["class"] is record["diverged"] is None
    assert len(record["training_loss"]) == 3
    points = record["checkpoints"]
    assert [point["step"] for point in points] == [0, 2, 3]
    assert [point["training_sample_steps"] for point in points] == [0, 8, 12]
    assert [point["sample_steps"] for point in points] == [6, 20, 30]
    for point in points:
        held_out = point["held_out"]
        assert held_out["mean"] == pytest.approx(sum(held_out["losses"]) / 6, rel=1e-6)
        assert held_out["mean"] - points[0]["held_out"]["mean"] == pytest.approx(held_out["difference"], abs=1e-7)
        assert held_out["thirds"][0] == pytest.approx(sum(held_out["losses"][:2]) / 2, rel=1e-6)
    assert [set(point["scores"]) for point in points] == [{"pocket-lpips"}, {"pocket-lpips"}, set()]
    lpips = points[0]["scores"]["pocket-lpips"]
    assert (lpips["samples"], lpips["seeds"]) == (3, 1) and "pocket-lpips" in record["how"]
    assert [path.name for path in (finished / "pictures" / trial.id).iterdir()] == ["step_000002_0.png"]
    assert (finished / "photos" / "mug.png").exists() and (finished / "report" / "report.html").exists()


def test_the_starts_that_read_the_photo_say_what_they_read(tmp_path: Path) -> None:
    arms = '[[arms]]\nname = "caption"\ninit = "caption"\n[[arms]]\nname = "class"\ninit = "class"\n'
    arms += '[[arms]]\nname = "other"\ninit = "other-caption"\n'
    text = SMALL.split("[[arms]]")[0].replace('metrics = ["pocket-lpips"]', "").replace("steps = 2", "steps = 1")
    text = text.replace("evaluate_at = [0, 2]\nscore_at = [0, 2]\npictures_at = [2]\n", "")
    text = text.replace('"cup"', '{name = "x", photo = "cup", class = "red vase"}')
    prepared = study.prepare(write(tmp_path, text + arms), device="cpu", dtype="fp32")
    caption, label, other = (work(prepared.job(trial)).record for trial in prepared.trials[:3])
    assert caption and label and other
    assert caption["caption"].endswith(caption["sentence"]) and caption["placeholders"] > label["placeholders"]
    assert label["class"] == label["sentence"] and other["sentence"] != caption["sentence"]
    assert [point["step"] for point in caption["checkpoints"]] == [0, 1] and caption["how"] == {}
    given = work(prepared.job(prepared.trials[4])).record
    assert given and given["sentence"] == given["class"] == "red vase" and given["init"] == "class"


def test_results_name_no_place_and_no_time(finished: Path) -> None:
    for name, data in results(finished).items():
        assert str(Path.home()).encode() not in data and b"seconds" not in data, name
        assert str(finished.parent).encode() not in data and str(pocket.HERE).encode() not in data, name


def test_a_diverged_trial_is_a_result(prepared: study.Prepared) -> None:
    trial = prepared.trials[0]
    arm = dataclasses.replace(trial.arm, settings=dataclasses.replace(trial.arm.settings, lr=1e30), score_at=())
    outcome = work(prepared.job(dataclasses.replace(trial, arm=arm)))
    assert outcome.failure is None and outcome.record is not None
    assert "the loss became" in outcome.record["diverged"] and outcome.record["checkpoints"][0]["step"] == 0


# --- going on ---


def test_only_what_is_missing_is_done_again(prepared: study.Prepared, finished: Path, half: Path) -> None:
    kept = {name: (half / name).stat().st_mtime_ns for name in results(half) if name.startswith("trials")}
    watcher = Silent()
    study.run(prepared, half, watcher)
    assert watcher.done_before == [trial.id for trial in prepared.trials[:2]]
    assert watcher.begun == [trial.id for trial in prepared.trials[2:]]
    assert results(half) == results(finished)
    assert kept == {name: (half / name).stat().st_mtime_ns for name in kept}


@pytest.mark.parametrize("damage", ['{"id": ', '{"id": "another"}'])
def test_a_damaged_trial_is_moved_aside_and_done_again(
    prepared: study.Prepared, finished: Path, half: Path, damage: str
) -> None:
    file = half / "trials" / f"{prepared.trials[0].id}.json"
    file.write_text(damage)
    watcher = Silent()
    with pytest.warns(PhotowordsWarning, match="is damaged.*done again"):
        study.run(prepared, half, watcher)
    assert watcher.begun[0] == prepared.trials[0].id and len(watcher.begun) == 3
    aside = file.with_name(f"{file.name}.damaged")
    assert aside.read_text() == damage
    aside.unlink()
    assert results(half) == results(finished)


def test_a_full_disk_stops_with_one_sentence_and_loses_nothing(
    prepared: study.Prepared, finished: Path, half: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = os.replace
    last = f"{prepared.trials[3].id}.json"

    def full(source: Any, target: Any) -> None:
        if Path(target).name == last:
            raise OSError(errno.ENOSPC, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(UserError, match=f"cannot write .*{last}: No space left on device"):
        study.run(prepared, half, Silent())
    monkeypatch.setattr(os, "replace", replace)
    assert (half / "trials" / f"{prepared.trials[2].id}.json").exists() and not (half / "trials" / last).exists()
    study.run(prepared, half, Silent())
    assert results(half) == results(finished)


def test_ctrl_c_keeps_what_is_done(prepared: study.Prepared, half: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(jobs: Sequence[Any], count: int) -> Generator[Event, None, None]:
        yield Event(0)
        yield Event(0, work(jobs[0]))
        raise KeyboardInterrupt

    monkeypatch.setattr(workers, "on_processes", stopped)
    with pytest.raises(KeyboardInterrupt, match="3 of 4 trials are kept"):
        study.run(prepared, half, Silent())
    assert (half / "trials" / f"{prepared.trials[2].id}.json").exists()


def test_a_failed_trial_is_named_after_the_others_are_done(
    prepared: study.Prepared, half: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(jobs: Sequence[Any], count: int) -> Generator[Event, None, None]:
        yield Event(0, Outcome(failure="it is cursed"))
        yield Event(1, work(jobs[1]))

    monkeypatch.setattr(workers, "on_processes", failing)
    with pytest.raises(UserError, match=rf"1 of 4 trials are not done \({prepared.trials[2].id}\): it is cursed"):
        study.run(prepared, half, Silent())
    assert (half / "trials" / f"{prepared.trials[3].id}.json").exists()


def test_a_folder_of_something_else_is_refused(
    prepared: study.Prepared, finished: Path, tmp_path: Path, tiny_folder: Path
) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="holds something that is no study"):
        study.run(prepared, tmp_path, Silent())
    other = prepare(write(tmp_path / "b", SMALL.replace("[3]", "[4]")), tiny_folder)
    before = results(finished)
    with pytest.raises(UserError, match="is a study with other trials"):
        study.run(other, finished, Silent())
    assert results(finished) == before


def test_a_kill_before_the_first_trial_leaves_a_folder_that_is_known_again(
    prepared: study.Prepared, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "on_processes", serially)
    monkeypatch.setattr(runner, "report", lambda out: {})
    (tmp_path / f".{DEAD}-0123456789ab.photowords").write_text("half of plan.json")
    (tmp_path / files.LOCK).touch()
    study.run(prepared, tmp_path, Silent())
    assert results(tmp_path) == results(finished)


def test_a_kill_while_the_report_is_made_leaves_a_folder_that_goes_on(prepared: study.Prepared, half: Path) -> None:
    made = half / f".{DEAD}-0123456789ab.photowords" / "tables"  # as ``files.atomic_folder`` leaves it
    made.mkdir(parents=True)
    (made / f".{DEAD}-ba9876543210.photowords").write_text("half of a table")
    study.run(prepared, half, Silent())
    assert not made.parent.exists()


def test_what_a_live_process_is_writing_stays(prepared: study.Prepared, half: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        writing = half / "trials" / f".{other.pid}-0123456789ab.photowords"
        writing.write_text("half of a trial")
        study.run(prepared, half, Silent())
        assert writing.exists()
        other.communicate(b"\n")
    study.run(prepared, half, Silent())
    assert not writing.exists()


HOLDING = """
import sys
from pathlib import Path
from photowords import files
with files.locked(Path(sys.argv[1]), "it"):
    print("held", flush=True)
    input()
"""


def test_two_studies_do_not_share_a_folder(prepared: study.Prepared, half: Path) -> None:
    before = results(half)
    command = [sys.executable, "-c", HOLDING, str(half)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout and other.stdout.readline() == b"held\n"
        with pytest.raises(UserError, match=r"another photowords study is at work in .*half already; wait") as caught:
            study.run(prepared, half, Silent())
        assert "\n" not in str(caught.value) and results(half) == before
        other.kill()  # which lets the folder go
    assert study.run(prepared, half, Silent())["done"] == 4


# --- where trials run ---

KILLED = """
import sys
from pathlib import Path
from photowords import study
from photowords.cli.study import Board
if __name__ == "__main__":
    prepared = study.prepare(Path(sys.argv[1]), sys.argv[2], "cpu", "fp32")
    study.run(prepared, Path(sys.argv[3]), Board(), count=2)
"""


def test_processes_that_are_killed_leave_trials_that_count(
    prepared: study.Prepared, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, script = tmp_path / "out", tmp_path / "killed.py"
    script.write_text(KILLED)
    command = [sys.executable, str(script), str(prepared.file), prepared.model, str(out)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        until = time.monotonic() + 240
        while not list(out.glob("trials/*.json")) and process.poll() is None and time.monotonic() < until:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        assert process.stderr and "4 trials take about " in process.stderr.read()  # workers end with it
    found = {name: data for name, data in results(out).items() if not Path(name).name.startswith(".")}
    assert any(name.startswith("trials") for name in found)
    assert found.items() <= results(finished).items()
    monkeypatch.setattr(workers, "on_processes", serially)
    watcher = Silent()
    study.run(prepared, out, watcher)
    assert len(watcher.done_before) >= 1 and results(out) == results(finished)


class Deadly:
    """A job that kills the worker that reads it: so many times, as a folder remembers."""

    def __init__(self, folder: Path, times: int) -> None:
        self.folder, self.times = folder, times

    def __reduce__(self) -> Any:
        return _arrive, (self.folder, self.times)


def _arrive(folder: Path, times: int) -> Any:
    before = len(list(folder.iterdir()))
    if before < times:
        (folder / str(before)).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "no job at all"


def test_a_job_whose_worker_dies_is_tried_once_more(tmp_path: Path) -> None:
    for name, times in (("once", 1), ("always", 9)):
        (tmp_path / name).mkdir()
        jobs: Any = [Deadly(tmp_path / name, times)]
        (end,) = [event.outcome for event in workers.on_processes(jobs, 1) if event.outcome]
        if name == "once":
            assert end.failure and end.failure.startswith("AttributeError")  # it arrived, and is no job
        else:
            assert end.failure == "its worker was killed by signal 9 (Killed), 2 times"
            assert len(list((tmp_path / name).iterdir())) == workers.TRIES


def test_a_two_node_ray_cluster_gives_the_same_bytes(
    prepared: study.Prepared, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_worker_niceness", "0")  # its own 15 starves beside any busy program
    node = {"num_cpus": 1, "object_store_memory": 100_000_000, "include_dashboard": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cluster = Cluster(initialize_head=True, head_node_args=node)
        try:
            cluster.add_node(num_cpus=1, object_store_memory=100_000_000)
            study.run(prepared, tmp_path / "out", Silent(), ray=cluster.address)
        finally:
            ray.shutdown()
            cluster.shutdown()
    assert results(tmp_path / "out") == results(finished)


def test_without_ray_or_its_cluster_there_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    if importlib.util.find_spec("ray"):
        for address in ("127.0.0.1:1", "ray://127.0.0.1:1", "127.0.0.1:port"):
            with pytest.raises(UserError, match="no Ray cluster answers at"):
                list(workers.on_ray([], address))
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"photowords\[ray\]"):
        list(workers.on_ray([], "auto"))


# --- how long it takes ---


def test_the_time_left_follows_what_trials_took(prepared: study.Prepared) -> None:
    star = prepared.trials[0]
    # Batch 4 forward and back (3 passes each), two held-out losses of 6, three prompts of 25 steps with guidance at
    # two scored steps, and one kept strip.
    assert cost.passes(star, 1) == 2 * 4 * 3 + 2 * 6 + (2 * 3 + 1) * 50
    meter = cost.Meter(prepared.trials, 1, 0.01, 2)
    total = sum(cost.passes(trial, 1) for trial in prepared.trials)
    assert meter.seconds_left == pytest.approx(total * 0.01 / 2)
    meter.ended(star, cost.passes(star, 1) * 0.5)
    assert meter.seconds_left == pytest.approx((total - cost.passes(star, 1)) * 0.5 / 2)


def test_processes_by_default_one_for_each_cpu() -> None:
    assert study.default_workers("cpu") >= 1 and study.default_workers("cuda") == 1


# --- the command ---


def command(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    status = main(["study", *map(str, arguments)])
    return status, *capsys.readouterr()


def test_the_command_lists_runs_and_checks(
    prepared: study.Prepared, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "on_processes", serially)
    model = ("--model", prepared.model, "--device", "cpu", "--dtype", "fp32")
    status, out, _ = command(capsys, prepared.file, "--dry-run", "--workers", "2", *model)
    lines = out.splitlines()
    assert status == 0 and [line.split()[0] for line in lines[:4]] == [trial.id for trial in prepared.trials]
    assert lines[4].startswith("4 trials, about ") and lines[4].endswith(" on 2 workers")

    status, out, err = command(capsys, prepared.file, "--out", tmp_path / "out", "--json", *model)
    assert status == 0 and json.loads(out)["done"] == 4
    said = [line for line in err.splitlines() if not line.startswith("warning: ")]
    assert said[0].startswith("4 trials take about ") and said[4].startswith(f"4/4 {prepared.trials[3].id}")

    status, out, _ = command(capsys, "--check", tmp_path / "out")
    assert status == 0 and "exactly what its trials give" in out
    table = tmp_path / "out" / "report" / "tables" / "trials.csv"
    table.write_text(table.read_text().replace("mug", "jug"))
    status, out, err = command(capsys, "--check", tmp_path / "out")
    assert status == 2 and out == "" and "are not what its trials give" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "no study was given"),
        (("a.toml",), "add --out DIR"),
        (("none.toml", "--out", "x"), "cannot be read"),
        (("a.toml", "--out", "x", "--workers", "0"), "at least 1"),
        (("a.toml", "--out", "x", "--workers", "2", "--ray", "auto"), "--workers is for processes of this machine"),
    ],
)
def test_a_bad_command_gets_one_sentence(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    status, out, err = command(capsys, *arguments)
    assert status == 2 and out == "" and said in err and len(err.splitlines()) == 1
