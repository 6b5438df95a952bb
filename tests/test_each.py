"""Many photos, one model: each as if it were alone, whatever becomes of the others."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from photowords import formats, images, learning, pocket, workers
from photowords.backbones import Backbone
from photowords.errors import PhotowordsWarning, UserError
from photowords.inversion import Diverged, Inversion, Lockstep, Run, Step, invert
from photowords.learning.beginning import options
from photowords.learning.each import Share, Task, each
from photowords.settings import InvertSettings
from photowords.starts import OtherCaption, Star, Words

SETTINGS = InvertSettings(steps=4, batch=2, held_out=4, evaluate_every=2)


def share(folder: Path, **other: Any) -> Share:
    told: dict[str, Any] = {"settings": SETTINGS, "samples": 0, **other}
    where: dict[str, Any] = {"model": str(folder), "device": "cpu", "dtype": "fp32", "offload": "auto"}
    return Share((), Words(words="red mug"), "it", samples_at="ends", **told, **where)


def vectors(folder: Path) -> torch.Tensor:
    return formats.read(folder / "concept.safetensors").vectors("clip_l")


@pytest.mark.usefixtures("here")
def test_each_run_is_what_it_is_alone(tmp_path: Path, tasks: list[Task], tiny: Backbone, tiny_folder: Path) -> None:
    assert dict(each(tasks, share(tiny_folder), at_once=2, count=1)) == dict.fromkeys(tasks)
    for number, task in enumerate(tasks):
        alone = tmp_path / "alone" / str(number)
        learning.learn(tiny, [task.photo], alone, Words(words="red mug"), "it", SETTINGS, 0)
        assert torch.allclose(vectors(task.folder), vectors(alone), rtol=0, atol=1e-6)
        names = sorted(path.name for path in alone.rglob("*"))
        assert sorted(path.name for path in task.folder.rglob("*")) == names
        curves = [[row["loss"] for row in Run.open(folder).losses()] for folder in (task.folder, alone)]
        assert curves[0][1:] == pytest.approx(curves[1][1:], abs=1e-5)


@pytest.mark.usefixtures("here")
def test_what_was_done_is_left_and_what_was_begun_goes_on(
    tasks: list[Task], tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    how = share(tiny_folder)
    list(each(tasks, how))
    ended = [vectors(task.folder) for task in tasks]
    begun = tasks[1].folder
    for path in (begun / "result.json", begun / "checkpoints" / "000004.safetensors"):  # as if killed at step 3
        path.unlink()
    made: list[int] = []
    step = Inversion.step
    monkeypatch.setattr(Inversion, "step", lambda one, *rest: made.append(one.index) or step(one, *rest))
    assert dict(each(tasks, how)) == dict.fromkeys(tasks)
    assert made == [2, 3]
    assert torch.allclose(vectors(begun), ended[1], rtol=0, atol=1e-6)
    assert torch.equal(vectors(tasks[0].folder), ended[0])


@pytest.mark.usefixtures("here")
def test_a_folder_of_another_photo_or_other_settings_costs_itself_alone(tasks: list[Task], tiny_folder: Path) -> None:
    list(each(tasks[:2], share(tiny_folder)))
    swapped = Task(tasks[1].photo, tasks[0].folder)
    longer = share(tiny_folder, settings=dataclasses.replace(SETTINGS, steps=5))
    told = dict(each([swapped], share(tiny_folder))) | dict(each(tasks[1:], longer))
    assert "holds another photo's run" in str(told[swapped])
    assert "was begun with `steps` 4, not 5" in str(told[tasks[1]])
    assert told[tasks[2]] is None and Run.open(tasks[2].folder).result()


@pytest.mark.usefixtures("here")
def test_a_run_that_was_learned_otherwise_is_not_done(
    tasks: list[Task], tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, how = tasks[0], share(tiny_folder)
    list(each([task], how))
    monkeypatch.chdir(tiny_folder.parent)
    alike: list[dict[str, Any]] = [{"model": tiny_folder.name}, {"dtype": "float32"}, {"dtype": "auto"}]
    for same in alike:
        assert dict(each([task], dataclasses.replace(how, **same))) == {task: None}
    for other, said in (
        ({"init": Words(words="blue cup")}, "`words` red mug, not blue cup"),
        ({"init": Words(words="red mug", freeze=("red",))}, "`freeze` (), not ['red']"),
        ({"init": Star()}, "`init` words, not star"),
        ({"name": "cup"}, "`name` it, not cup"),
        ({"model": "sd15"}, f"`model` {tiny_folder}, not sd15"),
        ({"dtype": "bf16"}, "`dtype` float32, not bf16"),
        ({"samples": 4}, "`samples` 0, not 4"),
    ):
        ((_, told),) = each([task], dataclasses.replace(how, **other))
        assert told and f"was begun with {said}; repeat that" in told
    run = Run.open(task.folder)
    del run.about["start"]  # as older ones are
    run.save_settings()
    assert dict(each([task], dataclasses.replace(how, init=Words(words="blue cup")))) == {task: None}


def test_a_start_is_kept_without_addresses_and_its_picture_by_its_hash(mug: Image.Image) -> None:
    asked = OtherCaption(refiner="http://localhost/?key=secret", refiner_model="small", other=mug, freeze=("red",))
    told = options(asked)
    assert set(told) == {"refiner_model", "other", "freeze"} and told["freeze"] == ["red"]
    assert options(dataclasses.replace(asked, other=mug.copy())) == told == json.loads(json.dumps(told))
    assert options(dataclasses.replace(asked, other=mug.rotate(90))) != told and options("caption") == {}


@pytest.mark.parametrize("ray", [None, "auto"])
def test_each_gpu_has_a_process_and_a_cluster_says_which(
    ray: str | None, tasks: list[Task], tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared: list[tuple[list[str], object]] = []

    def seen(shares: Sequence[Share], where: object) -> Iterator[workers.Event]:
        shared.append(([one.device for one in shares], where))
        yield from ()

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for name in ("on_processes", "on_ray"):
        monkeypatch.setattr(workers, name, seen)
    for device in ("cuda", "cuda:1"):
        list(each(tasks, dataclasses.replace(share(tiny_folder), device=device), at_once=1, ray=ray))
    named = "cuda" if ray else "cuda:1"
    assert shared == [(["cuda"] * 3, ray or 2), ([named] * 3, ray or 1)]


def test_one_that_diverges_leaves_the_others_as_they_are(
    tiny: Backbone, mug: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    from photowords.initializers import start

    concepts = [start(Words(words=text), [], tiny, "it") for text in ("red mug", "blue mug")]
    alone = list(invert(tiny, concepts[1], [mug], SETTINGS))
    step = Inversion.step

    def fails(one: Inversion, *rest: Any) -> Step:
        if one.problem.concept is concepts[0] and one.index == 1:
            raise Diverged("no number")
        return step(one, *rest)

    monkeypatch.setattr(Inversion, "step", fails)
    lockstep = Lockstep()
    bad, good = (lockstep.invert(tiny, concept, [mug], SETTINGS) for concept in concepts)
    assert [next(steps).index for steps in (bad, good, bad, good)] == [0, 0, 1, 1]
    with pytest.raises(Diverged, match="no number"):
        next(bad)
    last = [*good][-1]
    assert last.index == 4
    assert torch.allclose(last.concept.vectors("clip_l"), alone[-1].concept.vectors("clip_l"), rtol=0, atol=1e-6)


def test_a_share_whose_worker_dies_says_so(tasks: list[Task], tiny_folder: Path) -> None:
    lost = dataclasses.replace(share(tiny_folder), tasks=tasks).lost("its worker was killed")
    assert lost.failures == dict.fromkeys(tasks, "its worker was killed")


@pytest.mark.usefixtures("here")
def test_a_model_that_cannot_be_loaded_is_said_of_each_photo(tasks: list[Task], tmp_path: Path) -> None:
    told = dict(each(tasks, share(tmp_path / "nowhere")))
    assert len(told) == 3 and all("nowhere" in str(sentence) for sentence in told.values())
    assert not tasks[0].folder.exists()


def test_ray_is_asked_for_by_name(tasks: list[Task], tiny_folder: Path) -> None:
    with pytest.raises(UserError, match="Ray"):
        list(each(tasks, share(tiny_folder), ray="127.0.0.1:1"))


@pytest.mark.usefixtures("here")
def test_pictures_are_drawn_at_the_steps_that_a_share_asks_for(tasks: list[Task], tiny_folder: Path) -> None:
    how = dataclasses.replace(share(tiny_folder, samples=1), samples_at="checkpoints")
    assert dict(each(tasks[:1], how)) == {tasks[0]: None}
    names = sorted(path.name for path in (tasks[0].folder / "samples").iterdir())
    assert names == ["step_000000.png", "step_000002.png", "step_000004.png"]


@pytest.mark.usefixtures("here")
def test_what_is_warned_of_names_its_photo(tmp_path: Path, tasks: list[Task]) -> None:
    images.save_png(Image.effect_noise((128, 128), 90).convert("RGB"), tmp_path / "noise.png")
    odd = Task(tmp_path / "noise.png", tmp_path / "runs" / "noise")
    with pytest.warns(PhotowordsWarning) as said:
        assert dict(each([tasks[0], odd], share(pocket.PIPELINE), at_once=2, count=1)) == dict.fromkeys([tasks[0], odd])
    strange = [str(one.message) for one in said if "lies outside" in str(one.message)]
    assert len(strange) == 1 and strange[0].startswith("noise.png: the photo lies outside the small world")


@pytest.mark.usefixtures("here")
def test_what_is_of_every_photo_is_said_once(tasks: list[Task]) -> None:
    with pytest.warns(PhotowordsWarning) as said:
        list(each(tasks, replace(share(pocket.PIPELINE), init=Words(words="red zebu")), at_once=2, count=1))
    unknown = [str(one.message) for one in said if "zebu" in str(one.message)]
    assert len(unknown) == 1 and unknown[0].startswith("0.png, 1.png, 2.png: pipeline has never seen 'zebu'")


def test_the_user_may_want_fewer_threads(tasks: list[Task], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[int] = []
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    monkeypatch.setattr(torch, "set_num_threads", given.append)
    for threads in (1, 8):
        replace(share(tmp_path / "none"), tasks=tasks[:1], threads=threads).work()
    assert given == [1, 2]


@pytest.mark.parametrize(("count", "photos", "threads"), [(8, 1, 8), (8, 3, 2), (2, 3, 4)])
def test_processes_that_are_not_needed_leave_their_threads_to_the_others(
    count: int, photos: int, threads: int, tasks: list[Task], tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Share] = []
    monkeypatch.setattr("photowords.threads.cpus", lambda: 8)

    def started(shares: Sequence[Share], _: int) -> Iterator[workers.Event]:
        given.extend(shares)
        yield from ()

    monkeypatch.setattr(workers, "on_processes", started)
    list(each(tasks[:photos], share(tiny_folder), at_once=1, count=count))
    assert {one.threads for one in given} == {threads}
