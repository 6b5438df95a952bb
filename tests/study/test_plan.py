"""A study's file is checked before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from photowords import pocket, study
from photowords.backbones import automatic
from photowords.errors import UserError
from photowords.settings import InvertSettings
from photowords.study import plan
from tests.small_weights import save_dino
from tests.study.small_study import SMALL, prepare, write

STUDIES = sorted((Path(__file__).parents[2] / "studies").glob("*.toml"))


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


def test_an_arm_of_fewer_steps_is_scored_and_shown_at_its_end(tmp_path: Path) -> None:
    text = SMALL + '[[arms]]\nname = "shorter"\ninit = "star"\nsteps = 1\n'
    arms = {arm.name: arm for arm in plan.read(write(tmp_path, text)).arms}
    assert (arms["shorter"].score_at, arms["shorter"].pictures_at) == ((0, 1), (1,))


def test_an_arms_recipe_takes_the_place_of_the_one_that_all_share(tmp_path: Path) -> None:
    arms = '\n[[arms]]\nname = "ours"\ninit = "star"\nrecipe = "fast"\n[[arms]]\nname = "theirs"\ninit = "star"\n'
    text = SMALL.replace("held_out = 6", 'held_out = 6\nrecipe = "paper"') + arms
    found = {arm.name: arm.settings for arm in plan.read(write(tmp_path, text)).arms}
    ours, theirs, default = found["ours"], found["theirs"], InvertSettings()
    for name in ("lr", "weight_decay", "templates", "resize", "flip", "optimizer", "noise", "draws", "average"):
        assert getattr(ours, name) == getattr(default, name), name
    assert (theirs.lr, theirs.templates, theirs.resize) == (0.02, "textual-inversion", "squash")
    assert ours.held_out == theirs.held_out == 6


def test_a_mark_before_a_file_of_windows_is_none_of_it(tmp_path: Path) -> None:
    file = write(tmp_path)
    before = plan.read(file)
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert plan.read(file) == before


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
        (
            "held_out = 6",
            'learnable_property = "thing"',
            "learnable_property is 'thing', but it must be one of object, style",
        ),
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
        ("held_out = 6", "evaluate_every = 2", "arm star has evaluate_every, but evaluate_at says the steps already"),
        ('"pocket-lpips"', '"clip-t"', "clip-t says the concept's class, and concept mug has none; add class to it"),
        (
            'concepts = ["mug", "cup"]\nseeds = [3]\nmetrics = ["pocket-lpips"]',
            'concepts = ["mug", {photo = "cup", truth = []}]\nseeds = [3]\nmetrics = ["clip-i"]',
            "clip-i compares with true views where there are any.*but concept cup has no views and others have",
        ),
        ("[settings]", '[[report]]\nkind = "pie"\n[settings]', "'pie' is unknown.*curves"),
    ],
)
def test_a_bad_file_gets_one_sentence(tmp_path: Path, old: str, new: str, said: str) -> None:
    file = write(tmp_path, SMALL.replace(old, new, 1))
    with pytest.raises(UserError, match=said) as caught:
        plan.read(file)
    assert str(file) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("block", "said"),
    [
        ('kind = "table"\nmetrics = ["pocket-lpips"]\nstep = [0, 1]', "table block shows step 1, which score_at of"),
        ('kind = "table"\nmetrics = ["held-out-loss"]\nstep = 1', "table block shows step 1, which evaluate_at of"),
        ('kind = "curves"\nmetrics = ["clip-views"]', "curves block shows clip-views, which metrics of the study has"),
        ('kind = "table"\nmetrics = ["lpips", "held-out-loss"]\nstep = [0, 2, 3]', None),  # 3 is an arm's last
        ('kind = "frontier"\nx = "held-out-loss"\ny = "lpips"', None),
    ],
)
def test_a_block_shows_what_will_be_measured(tmp_path: Path, block: str, said: str | None) -> None:
    file = write(tmp_path, SMALL.replace("[settings]", f"[[report]]\n{block}\n[settings]"))
    if said is None:
        assert len(plan.read(file).report) == 1
        return
    with pytest.raises(UserError, match=said):
        plan.read(file)


def test_true_views_are_missed_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "mine.png").write_bytes(pocket.view("mug").read_bytes())
    text = SMALL.replace("pocket-lpips", "clip-views")
    assert plan.read(write(tmp_path, text)).metrics == ("clip-views",)  # the bank's concepts have other views
    with pytest.raises(UserError, match=r"clip-views compares with true views, and concept mine has none; add truth"):
        plan.read(write(tmp_path, text.replace('"cup"', '"mine.png"')))


def test_without_a_model_it_is_the_one_that_suits_the_photos(
    tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = SMALL.replace('metrics = ["pocket-lpips"]', "metrics = []").replace("score_at = [0, 2]\n", "")
    assert study.prepare(write(tmp_path, text), device="cpu").model == "pocket"
    assert study.prepare(write(tmp_path, text), "auto", "cpu").model == "pocket"
    Image.effect_noise((128, 128), 90).convert("RGB").save(tmp_path / "real.png")
    file = write(tmp_path, text.replace('"cup"', '{name = "real", photo = "real.png", words = "cup"}'))
    monkeypatch.setattr(automatic, "is_cached", lambda _: False)
    with pytest.raises(UserError, match="photo 2 of 2 is no picture of the small world"):
        study.prepare(file, device="cpu")
    monkeypatch.setattr(automatic, "for_photos", lambda photos, masks: str(tiny_folder))
    assert study.prepare(file, device="cpu").model == str(tiny_folder)
    assert study.prepare(file, "pocket", "cpu").model == "pocket"


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


@pytest.mark.parametrize("key", ["prompts", "edits"])
def test_prompts_that_no_metric_looks_at_are_refused(tmp_path: Path, tiny_folder: Path, key: str) -> None:
    metric = {"prompts": "clip-editability", "edits": "pocket-lpips"}[key]
    text = f'{key} = ["{{}} in the snow"]\n' + SMALL.replace("pocket-lpips", metric)
    with pytest.raises(UserError, match=f"{key} are drawn for none of the study's metrics; take them out"):
        prepare(write(tmp_path, text), tiny_folder)


def test_what_scores_is_named_in_the_study(tmp_path: Path, tiny_folder: Path) -> None:
    own = SMALL.replace('"pocket-lpips"', '"dino"')
    dino = save_dino(tmp_path / "dino", "dino")
    prepared = prepare(write(tmp_path / "a", f'dino = "{dino}"{own}'), tiny_folder)
    trial = prepared.trials[0]
    assert "a dino of patch" in trial.spec["scorers"]["dino"]
    outcome = prepared.job(trial).work()
    assert outcome.record is not None and outcome.record["checkpoints"][0]["scores"]["dino"]["value"] > -1
    assert "with 4 true views" in outcome.record["how"]["dino"]
    with pytest.raises(UserError, match="dinov2 scores none of the study's metrics; take it out"):
        prepare(write(tmp_path / "b", f'dinov2 = "{dino}"{SMALL}'), tiny_folder)


def test_a_photo_is_no_true_view_of_its_own(tmp_path: Path, tiny_folder: Path) -> None:
    table = 'concepts = [{name = "mine", photo = "a.png", truth = ["b.png"]}]'
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(pocket.view("mug").read_bytes())
    with pytest.raises(UserError, match="concept mine has a photo among its truth, which is what training never sees"):
        prepare(write(tmp_path, SMALL.replace('concepts = ["mug", "cup"]', table)), tiny_folder)


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
