"""A run that goes on is what it would have been, whatever was done to it meanwhile."""

from __future__ import annotations

import itertools
import shutil
import time
from pathlib import Path

import pytest
from PIL import Image
from safetensors.torch import load_file, save_file

from photowords import backbones, follow, formats, images, learning
from photowords.backbones import Backbone
from photowords.cli import main
from photowords.errors import UserError
from photowords.follow import Stopped
from photowords.inversion import Run
from photowords.inversion.run import FORMAT
from photowords.segmentation import Selection
from photowords.settings import InvertSettings
from photowords.starts import Words

SETTINGS = InvertSettings(steps=8, held_out=4, evaluate_every=3)


@pytest.fixture
def run(tiny: Backbone, mug: Image.Image, tmp_path: Path) -> Run:
    """One that was not begun."""
    mug.save(tmp_path / "mug.png")
    return learning.begin(tiny, [tmp_path / "mug.png"], tmp_path / "run", Words(words="red mug"), "it", SETTINGS, 0)


def stop_at(step: int, run: Run, backbone: Backbone) -> None:
    with pytest.raises(Stopped), learning.course(run, backbone) as taken:
        for _ in itertools.islice(taken, step + 1):
            pass
        follow.stop(run.folder)
        next(taken)


def test_what_another_process_did_since_a_run_was_opened_is_not_overwritten(run: Run, tiny: Backbone) -> None:
    stop_at(4, run, tiny)
    stale = Run.open(run.folder)
    learning.go_on(Run.open(run.folder), tiny, 12)
    files = {name: (run.folder / name).read_bytes() for name in ("losses.jsonl", "concept.safetensors")}
    with pytest.raises(UserError, match="already has 12 steps"):
        learning.go_on(stale, tiny, 8)
    assert learning.go_on(Run.open(run.folder), tiny)["held_out_loss"]["curve"][-1]["step"] == 12
    stale.settings = SETTINGS
    assert learning.go_on(stale, tiny)["held_out_loss"]["curve"][-1]["step"] == 12
    assert files == {name: (run.folder / name).read_bytes() for name in files}


def test_a_run_that_is_to_end_where_it_was_stopped_is_measured_there(run: Run, tiny: Backbone, tmp_path: Path) -> None:
    stop_at(5, run, tiny)
    found = learning.go_on(Run.open(run.folder), tiny, 5)["held_out_loss"]
    assert [point["step"] for point in found["curve"]] == [0, 3, 5]
    last = Run.open(run.folder).last_step()
    assert last is not None
    losses = run.problem(tiny).held_out({"clip_l": last.concept.vectors("clip_l")})
    assert losses.mean().item() == pytest.approx(found["final"], rel=1e-6)


def test_a_stopped_run_that_is_refused_is_still_stopped(
    run: Run, tiny: Backbone, capsys: pytest.CaptureFixture[str]
) -> None:
    stop_at(4, run, tiny)
    asked = ["invert", "--out", str(run.folder), "--resume"]
    for wrong, why in ((["--steps", "2"], "already has 4 steps"), (["--device", "mps:9"], "cannot be used here")):
        assert main([*asked, *wrong]) == 2 and why in capsys.readouterr().err
        now = follow.status(run.folder)
        assert now.state == "stopped" and now.error is not None and why in now.error
    assert main(asked) == 0 and follow.error(run.folder) is None


def test_a_runs_own_model_may_be_repeated_in_any_form(
    run: Run, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tiny_folder.parent)
    for model in ("auto", tiny_folder.name, f"./{tiny_folder.name}/", str(tiny_folder)):
        assert main(["invert", "--out", str(run.folder), "--resume", "--model", model, "--lr", "rho:0.3"]) == 0
    assert main(["invert", "--out", str(run.folder), "--resume", "--model", "sdxl"]) == 2
    assert f"was made with --model {tiny_folder}, not sdxl" in capsys.readouterr().err


def test_a_model_whose_words_have_changed_is_not_learned_on_with(
    tiny_folder: Path, mug: Image.Image, tmp_path: Path
) -> None:
    folder = shutil.copytree(tiny_folder, tmp_path / "model")
    mug.save(tmp_path / "mug.png")
    before = backbones.load(str(folder))
    run = learning.begin(before, [tmp_path / "mug.png"], tmp_path / "run", Words(words="red mug"), "it", SETTINGS, 0)
    stop_at(4, run, before)
    kept = {path: path.read_bytes() for path in run.folder.rglob("*.safetensors")}
    weights = folder / "text_encoder" / "model.safetensors"
    save_file({key: value + 0.01 for key, value in load_file(weights).items()}, weights)
    with pytest.raises(UserError, match="begun when the word vectors of model were others"):
        learning.go_on(Run.open(run.folder), backbones.load(str(folder)))
    assert kept == {path: path.read_bytes() for path in run.folder.rglob("*.safetensors")}


def test_a_run_is_not_learned_on_in_another_precision(run: Run, tiny: Backbone, tiny_folder: Path) -> None:
    stop_at(4, run, tiny)
    other = backbones.load(str(tiny_folder), "cpu", "bf16")
    with pytest.raises(UserError, match=r"in float32, not .* in bfloat16; resume with the same"):
        learning.go_on(Run.open(run.folder), other)


def test_a_run_that_learned_otherwise_is_read_but_not_learned_on_with(
    run: Run, tiny: Backbone, capsys: pytest.CaptureFixture[str]
) -> None:
    stop_at(4, run, tiny)
    settings = run.folder / "settings.json"
    settings.write_text(settings.read_text().replace(f'"format": {FORMAT}', f'"format": {FORMAT - 1}'))
    kept = {path: path.read_bytes() for path in run.folder.rglob("*") if path.suffix in (".safetensors", ".jsonl")}
    with pytest.raises(UserError, match="learned otherwise; its concept can be used"):
        learning.go_on(Run.open(run.folder), tiny)
    assert main(["invert", "--out", str(run.folder), "--resume"]) == 2
    assert "begin again in another folder" in capsys.readouterr().err
    assert (
        all(path.read_bytes() == held for path, held in kept.items()) and follow.status(run.folder).state == "stopped"
    )
    assert formats.read(run.concept_file).name == "it"


def test_a_mask_that_was_replaced_is_not_gone_on_with(tiny: Backbone, mug: Image.Image, tmp_path: Path) -> None:
    images.save_png(mug, tmp_path / "mug.png")
    masks = [Image.new("L", mug.size) for _ in range(2)]
    for mask, side in zip(masks, (100, 60), strict=True):
        mask.paste(255, (50, 50, 50 + side, 50 + side))
    marked = [Selection(masks[0], "mask.png"), None]
    photos = [tmp_path / "mug.png"] * 2
    run = learning.begin(tiny, photos, tmp_path / "run", Words(words="red mug"), "it", SETTINGS, 0, marked)
    stop_at(4, run, tiny)
    file = run.folder / "masks" / "0.png"
    kept = file.read_bytes()
    images.save_png(masks[1], file)
    with pytest.raises(UserError, match="masks is not the one that the run was begun with"):
        learning.go_on(Run.open(run.folder), tiny)
    file.write_bytes(kept)
    assert learning.go_on(Run.open(run.folder), tiny)["held_out_loss"]["curve"][-1]["step"] == 8


def test_a_square_by_another_rule_is_another_format_of_runs() -> None:
    """Else a run that goes on would compare losses of two squares: who changes the one changes the other, and this."""
    masks = [Image.new("L", (640, 512)) for _ in range(4)]
    for mask, side in zip(masks, (20, 200, 330, 400), strict=True):
        mask.paste(255, (100, 60, 100 + side, 60 + side * 3 // 4))
    boxes = [images.square_box(mask.size, mask) for mask in masks]
    rule = [(97, 54, 123, 80), (72, 7, 328, 263), (53, 0, 476, 423), (44, 0, 556, 512)]
    assert (FORMAT, boxes) == (8, rule)


def test_a_line_that_is_none_costs_a_run_nothing_but_itself(run: Run, tiny: Backbone, tmp_path: Path) -> None:
    """As a power cut may leave it: zeros where a line was being written."""
    stop_at(4, run, tiny)
    with (run.folder / "losses.jsonl").open("ab") as file:
        file.write(bytes(200) + b"\n[5]\n")
    learning.go_on(Run.open(run.folder), tiny)
    assert [row["step"] for row in Run.open(run.folder).losses()] == [*range(9)]


def test_no_run_is_followed_where_there_is_none(run: Run, tiny: Backbone, tmp_path: Path) -> None:
    learning.go_on(run, tiny)
    assert [now.state for now in follow.follow(str(run.folder))] == ["done"]
    with pytest.raises(UserError, match="there is no run folder"):
        next(follow.follow(tmp_path / "nowhere"))


def test_a_stopped_run_whose_turn_comes_to_nothing_is_stopped_again(run: Run, tiny: Backbone) -> None:
    stop_at(2, run, tiny)
    follow.enqueue(run.folder)
    assert follow.state(run.folder) == "queued"
    Image.new("RGB", (64, 64), "red").save(run.folder / "photos" / "0.png")
    with pytest.raises(UserError, match="not the one that the run was begun with; put that back"):
        learning.go_on(run, tiny)
    assert follow.state(run.folder) == "stopped"
    assert "not the one that the run was begun with" in (follow.status(run.folder).error or "")


def test_a_run_that_is_to_go_on_is_starting_until_its_model_is_loaded(run: Run, tiny: Backbone) -> None:
    learning.go_on(run, tiny)
    with follow.hold(run.folder):
        assert follow.state(run.folder) == "starting"
        time.sleep(0.02)
        (run.folder / "losses.jsonl").touch()
        assert follow.state(run.folder) == "learning"


def test_a_value_that_does_not_go_with_a_runs_settings_is_none_of_them() -> None:
    decayed, marked = InvertSettings(optimizer="adamw", weight_decay=0.1), InvertSettings(steps=4, evaluate_at=(0, 4))
    assert decayed.means("optimizer", "adamw") and not decayed.means("optimizer", "tangent")
    assert marked.means("evaluate_at", [0, 4]) and not marked.means("evaluate_at", [0, 8])
    assert not marked.means("steps", 3)
