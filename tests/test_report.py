"""A study's report: its statistics on data with known answers, its figures and tables, and the check of them."""

import csv
import dataclasses
import hashlib
import json
import math
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from photowords.errors import UserError
from photowords.report import build, figures, results, statistics
from photowords.report.blocks import BLOCKS as KINDS
from photowords.report.blocks import parse
from photowords.report.blocks.scores import stands_out
from photowords.report.document import Drawing
from photowords.report.pictures import first_of

CONCEPTS = ("mug", "cat", "clock", "boat")
ARMS = {"star": "*", "class": "class", "caption": "caption"}
SEEDS = (0, 1)
STEPS = (0, 10, 25, 50, 100)
SCORED = (0, 25, 100)
BLOCKS: list[dict[str, Any]] = [
    {"kind": "curves", "title": "Convergence", "metrics": ["training-loss", "held-out-loss", "lpips"], "log": True},
    {"kind": "curves", "title": "By cost", "metrics": ["held-out-loss"], "x": "training-sample-steps"},
    {"kind": "table", "title": "Scores", "metrics": ["held-out-loss", "lpips"], "step": 100, "reference": "star"},
    {"kind": "reach", "title": "Cost", "metric": "held-out-loss", "reference": "star"},
    {"kind": "gallery", "title": "Gallery", "step": 100},
    {"kind": "frontier", "title": "Frontier", "x": "clip-editability", "y": "clip-reconstruction"},
    {"kind": "ablation", "title": "Seeds", "by": "seed", "metric": "held-out-loss", "step": 100},
    {"kind": "ablation", "title": "Starts", "by": "arm", "metric": "held-out-loss"},
]


def make(
    folder: Path,
    blocks: Any = BLOCKS,
    concepts: Any = CONCEPTS,
    arms: Any = ARMS,
    seeds: Any = SEEDS,
    steps: Any = STEPS,
    scored: Any = SCORED,
) -> Path:
    """A study that nobody ran: losses that fall, faster for later arms."""
    (folder / "trials").mkdir(parents=True)
    (folder / "photos").mkdir()
    ids = []
    for number, concept in enumerate(concepts):
        colour = np.array([60 + 40 * number % 190, 200 - 45 * number % 190, 90])
        rows, columns = np.mgrid[:64, :64]
        ball = ((rows - 32) ** 2 + (columns - 32) ** 2 < 400)[..., None]
        photo = np.where(ball, colour, 235).astype(np.uint8)
        Image.fromarray(photo).save(folder / "photos" / f"{concept}.png")
        for place, arm in enumerate(arms):
            for seed in seeds:
                rng = np.random.default_rng((number, place, seed))
                rate = 0.02 * (1 + 1.5 * place) * (1 + 0.2 * rng.standard_normal())
                level = 0.08 + 0.012 * number - 0.003 * place
                digest = hashlib.sha256(f"{concept} {arm} {seed}".encode()).hexdigest()[:8]
                ids.append(f"{concept}-{arm}-s{seed}-{digest}")

                def loss(step: Any, level: Any = level, rate: Any = rate) -> Any:
                    return level + 0.03 * math.exp(-rate * step)

                def score(value: Any, direction: Any, rng: Any = rng) -> Any:
                    value = float(value + 0.01 * rng.standard_normal())
                    return {"value": round(value, 8), "spread": 0.02, "samples": 4, "direction": direction}

                points = []
                for step in steps:
                    learned = 1 - math.exp(-rate * step)
                    held_out = round(loss(step), 8)
                    scores = {
                        "pocket-lpips": score(0.4 - 0.2 * learned, "lower"),
                        "pocket-clip-reconstruction": score(0.6 + 0.03 * place + 0.25 * learned, "higher"),
                        "pocket-clip-editability": score(0.30 - 0.12 * learned**3 + 0.01 * place, "higher"),
                    }
                    points.append(
                        {
                            "step": step,
                            "sample_steps": 96 + step * 4,
                            "training_sample_steps": step * 4,
                            "held_out": {
                                "mean": held_out,
                                "difference": round(held_out - loss(0), 8),
                                "standard_error": 0.001,
                                "thirds": [0.2, 0.05, 0.01],
                                "losses": [held_out],
                            },
                            "scores": scores if step in scored else {},
                        }
                    )
                noise = rng.gamma(2, 0.5, steps[-1])
                trial = {
                    "id": ids[-1],
                    "concept": concept,
                    "arm": arm,
                    "init": arm,
                    "seed": seed,
                    "spec": {},
                    "sentence": "*" if arm == "star" else concept,
                    "placeholders": 1 + 2 * (arm == "caption"),
                    "class": concept if arm == "class" else None,
                    "caption": f"a red {concept} | with $5 <b>" if arm == "caption" else None,
                    "training_loss": [round(float(3 * loss(s) * n), 8) for s, n in enumerate(noise)],
                    "checkpoints": points,
                    "how": {"pocket-lpips": "LPIPS's formula on the pocket's net"},
                    "diverged": None,
                    "picture_prompts": ["a photo of a {}"],
                    "pictures_at": [steps[-1]],
                }
                (folder / "trials" / f"{ids[-1]}.json").write_text(json.dumps(trial, indent=1))
                strip = np.concatenate([np.clip(photo + rng.normal(0, 30, photo.shape), 0, 255)] * 4, axis=1)
                (folder / "pictures" / ids[-1]).mkdir(parents=True)
                Image.fromarray(strip.astype(np.uint8)).save(
                    folder / "pictures" / ids[-1] / f"step_{steps[-1]:06d}_0.png"
                )
    plan = {
        "name": "synthetic",
        "question": "Which start is <better>?",
        "model": {"name": "pocket", "fingerprint": "abcdef123456", "dtype": "bfloat16", "device": "cpu"},
        "suite": "pocket",
        "threads": 1,
        "photowords": "0.1.0",
        "torch": "2.13.0",
        "seeds": list(seeds),
        "samples": 4,
        "trials": ids,
        "arms": [{"name": arm, "label": label, "init": arm, "settings": {"steps": 100}} for arm, label in arms.items()],
        "concepts": [{"name": concept, "photo": "0" * 64} for concept in concepts],
        "report": list(blocks),
    }
    (folder / "plan.json").write_text(json.dumps(plan))
    return folder


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A finished study and its report, for tests that only look."""
    folder = make(tmp_path_factory.mktemp("study") / "out")
    build.write(folder)
    return folder


def table(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / "report" / "tables" / f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def trial(folder: Path, id_: str) -> dict[str, Any]:
    return json.loads((folder / "trials" / f"{id_}.json").read_text())


def edit(folder: Path, id_: str, change: Any) -> None:
    record = trial(folder, id_)
    change(record)
    (folder / "trials" / f"{id_}.json").write_text(json.dumps(record, indent=1))


# results


def test_a_training_loss_is_a_running_mean(study: Path) -> None:
    one = results.read(study).trials[0]
    losses = trial(study, one.id)["training_loss"]
    assert one.value("training-loss", 100) == pytest.approx(np.mean(losses[75:]))
    assert one.value("training-loss", 3) == pytest.approx(np.mean(losses[:3]))
    assert one.value("training-loss", 0) is None and one.value("training-loss", 101) is None
    long = dataclasses.replace(one, training_loss=[float(step) for step in range(1, 1001)])
    assert long.value("training-loss", 1000) == np.mean(range(901, 1001))  # the last tenth
    holed = dataclasses.replace(one, training_loss=[1.0, math.nan, 1.0])
    assert holed.steps("training-loss") == [1, 3] and holed.value("training-loss", 3) is None


def test_metrics_are_named_as_the_trials_have_them(study: Path) -> None:
    read = results.read(study)
    assert [read.metric(name) for name in ("lpips", "pocket-lpips", "psnr")] == ["pocket-lpips", "pocket-lpips", "psnr"]
    assert read.metric("sifid") == "pocket-sifid"  # of this suite, though not measured
    assert read.direction("clip-editability") == "higher" and read.direction("training-loss") == "lower"


def test_arms_of_one_label_are_told_apart(tmp_path: Path) -> None:
    folder = make(
        tmp_path / "out", blocks=BLOCKS[2:3], concepts=("mug",), arms={"star": "*", "a": "words", "b": "words"}
    )
    assert [arm.label for arm in results.read(folder).arms] == ["*", "words (a)", "words (b)"]


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"id": "other"}', "\xff"])
def test_a_damaged_trial_is_named(tmp_path: Path, damage: str) -> None:
    folder = make(tmp_path / "out", blocks=[], concepts=("mug",), seeds=(0,))
    file = next((folder / "trials").iterdir())
    file.write_bytes(damage.encode("latin-1"))
    with pytest.raises(UserError, match=re.escape(f"{file} is damaged")):
        build.write(folder)
    assert not (folder / "report").exists()


def test_a_folder_that_is_no_study_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"is not a study's folder"):
        build.write(tmp_path)
    with pytest.raises(UserError, match=r"is not a study's folder"):
        build.check(tmp_path / "absent")


# the report


def test_the_table_says_what_the_trials_say(study: Path) -> None:
    row = next(r for r in table(study, "03-table") if (r["metric"], r["arm"]) == ("held-out-loss", "caption"))
    ids = row["ids"].split()
    assert len(ids) == int(row["trials"]) == 8 and len(row["reference_ids"].split()) == 8
    ends = [trial(study, id_)["checkpoints"][-1]["held_out"]["mean"] for id_ in ids]
    others = [trial(study, id_)["checkpoints"][-1]["held_out"]["mean"] for id_ in row["reference_ids"].split()]
    assert float(row["mean"]) == pytest.approx(np.mean(ends), rel=1e-5)
    assert float(row["difference"]) == pytest.approx(np.mean(ends) - np.mean(others), rel=1e-4)
    assert (row["concepts_won"], row["of_concepts"], row["pairs_won"], row["of_pairs"]) == ("4", "4", "8", "8")
    assert float(row["low"]) < float(row["mean"]) < float(row["high"])
    text = (study / "report" / "report.md").read_text()
    differences = np.reshape(np.subtract(ends, others), (4, 2)).mean(1)  # over seeds, for each concept
    half = 3.182446 * differences.std(ddof=1) / 2  # t of 3 degrees of freedom; the root of 4 concepts
    said = [f"−{-value:.4f}" for value in (differences.mean(), differences.mean() - half, differences.mean() + half)]
    assert f"| caption | {said[0]} [{said[1]}, {said[2]}]; 4 of 4 concepts, 8 of 8 pairs |" in text
    assert "24 of 24 trials are finished" in text and "| \\* |" in text


def test_every_row_of_every_table_names_trials(study: Path) -> None:
    planned = set(json.loads((study / "plan.json").read_text())["trials"])
    for file in (study / "report" / "tables").glob("*.csv"):
        rows = table(study, file.stem)
        assert rows
        for row in rows:
            assert row["ids"] and set(row["ids"].split()) <= planned
    hashes = {row["ids"]: row["sha256"] for row in table(study, "trials")}
    assert hashes == {
        id_: hashlib.sha256((study / "trials" / f"{id_}.json").read_bytes()).hexdigest() for id_ in planned
    }


def test_reach_is_found_from_the_curves(study: Path) -> None:
    for row in table(study, "04-reach"):
        curves = [trial(study, id_)["checkpoints"] for id_ in row["ids"].split()]
        if row["arm"] == "star":
            assert (
                row["training_sample_steps"] == row["reference_training_sample_steps"] == "400" and row["ratio"] == "1"
            )
            continue
        ours = [c for c, id_ in zip(curves, row["ids"].split(), strict=True) if f"-{row['arm']}-" in id_]
        mean = np.mean([[point["held_out"]["mean"] for point in c] for c in ours], axis=0)
        above = [4 * step for step, loss in zip(STEPS, mean, strict=True) if loss > float(row["target"])]
        assert above[-1] < float(row["training_sample_steps"]) <= 4 * STEPS[above.index(above[-1]) + 1]
        assert float(row["ratio"]) == pytest.approx(400 / float(row["training_sample_steps"]), rel=1e-4)


def test_what_is_never_reached_is_said(tmp_path: Path) -> None:
    blocks = [{"kind": "reach", "reference": "caption"}]
    folder = make(tmp_path / "out", blocks=blocks, scored=())
    build.write(folder)
    star = [row for row in table(folder, "01-reach") if row["arm"] == "star"]
    assert [(row["reached"], row["training_sample_steps"], row["ratio"]) for row in star] == [("0", "", "0")] * 4
    text = (folder / "report" / "report.md").read_text()
    assert "| \\* | \\> 400 | 0 of 4 | not reached |" in text


def test_bold_needs_intervals_that_do_not_overlap() -> None:
    column = {"a": statistics.Estimate(1, 0.9, 1.1, 4, 8), "b": statistics.Estimate(2, 1.2, 2.8, 4, 8)}
    assert stands_out("a", column, "lower") and not stands_out("b", column, "lower")
    assert stands_out("b", column, "higher")
    column["c"] = statistics.Estimate(1.5, 1.05, 2, 4, 8)
    assert not any(stands_out(label, column, direction) for label in column for direction in ("lower", "higher"))
    assert not stands_out("a", {"a": column["a"]}, "lower")
    one = {label: statistics.Estimate(value, math.nan, math.nan, 1, 1) for label, value in (("a", 1), ("b", 2))}
    assert not stands_out("a", one, "lower")


def test_the_best_stop_is_marked(study: Path) -> None:
    rows = table(study, "06-frontier")
    best = [row for row in rows if row["best_stop"] == "1"]
    assert [row["arm"] for row in best] == list(ARMS)
    text = (study / "report" / "report.md").read_text()
    for label in ARMS.values():  # whichever step is the best, each arm has a row for the plain backbone
        assert f"| {label.replace('*', chr(92) + '*')}: plain backbone (step 0)" in text
    for row in best:
        own = [r for r in rows if r["arm"] == row["arm"]]
        assert float(row["balance"]) == max(float(r["balance"]) for r in own)
        assert sum(float(r["share"]) for r in own) == pytest.approx(1)


def test_the_ringed_step_is_named_where_points_crowd() -> None:
    near = [0.5, 0.5001, 0.9]
    line = figures.Series(0, "a", near, near, near, near, steps=[0, 25, 50], x_low=near, x_high=near, marked=1)
    (axes,) = figures.frontier([line], "x", "y").axes
    assert [text.get_text() for text in axes.texts] == ["25", "50"]


def test_ablation_leaves_only_what_the_seed_does(study: Path) -> None:
    rows = table(study, "07-ablation")
    sums: dict[tuple[str, str], float] = {}
    for row in rows:
        sums[row["arm"], row["concept"]] = sums.get((row["arm"], row["concept"]), 0) + float(row["deviation"])
    assert len(sums) == 12 and all(abs(total) < 1e-8 for total in sums.values())


class Page(HTMLParser):
    """What a page asks for, whether its tags are closed, and its text."""

    void = {"meta", "img", "br", "link"}

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.asked: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: Any, attrs: Any) -> None:
        self.tags.append(tag)
        self.asked += [value for name, value in attrs if name in ("src", "href")]
        if tag not in self.void:
            self.open.append(tag)

    def handle_endtag(self, tag: Any) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: Any) -> None:
        self.text += data


def test_the_page_stands_alone(study: Path) -> None:
    text = (study / "report" / "report.html").read_text()
    page = Page(text)
    assert not page.open and "script" not in page.tags and "link" not in page.tags
    assert all(asked.startswith(("data:image/", "#")) for asked in page.asked)
    assert "url(" not in text and "@import" not in text
    assert page.tags.count("img") == 9 + len(CONCEPTS)
    for said in (
        "24 of 24 trials",
        "Which start is <better>?",
        "a red mug | with $5 <b>",
        "abcdef123456",
        "10,000 resamples",
    ):
        assert said in page.text
    assert page.text.count("What this does not show") == len(BLOCKS) + 1


def test_figures_keep_their_text_and_are_readable_at_half_width(study: Path) -> None:
    for file in (study / "report" / "figures").glob("*.svg"):
        svg = file.read_text()
        assert "<text" in svg and "<dc:date>" not in svg
        sizes = [float(size) for size in re.findall(r"font(?:-size)?: (?:\w+ )?([\d.]+)px", svg)]
        assert sizes and min(sizes) >= 7, file.name
        if "gallery" not in file.name:
            width = re.search(r'width="([\d.]+)pt"', svg)
            assert width and float(width[1]) == pytest.approx(3.3 * 72)


def test_a_strip_is_cut_between_its_pictures() -> None:
    from photowords.images import side_by_side

    pictures = [Image.new("RGB", (64, 64), colour) for colour in ("red", "green", "blue", "yellow")]
    for gap in (0, 4):
        strip = side_by_side(pictures, gap)
        assert first_of(strip, 4).tobytes() == strip.tobytes() == first_of(strip, 9).tobytes()
        assert first_of(strip, 2).tobytes() == side_by_side(pictures[:2], gap).tobytes()


def test_panels_of_one_metric_have_the_same_limits(study: Path) -> None:
    read = results.read(study)
    few = {"kind": "curves", "metrics": ["held-out-loss", "training-loss"], "arms": ["star"]}
    read = dataclasses.replace(read, plan={**read.plan, "report": [BLOCKS[0], few]})
    limits: dict[str, list[Any]] = {}
    for block in read.plan["report"]:
        for part in parse(block, list(ARMS)).make(read, "a").parts:
            if isinstance(part, Drawing):
                limits.setdefault(part.name, []).append(part.draw().axes[0].get_ylim())
    one, other = limits["a-held-out-loss"]
    assert one == pytest.approx(other)
    caption, star = (statistics.estimate(read.values(arm, "held-out-loss", 100)) for arm in ("caption", "star"))
    assert one[0] < caption.low < star.low and len(limits["a-pocket-lpips"]) == 1


def test_the_same_trials_give_the_same_bytes(study: Path, tmp_path: Path) -> None:
    before = {file: file.read_bytes() for file in (study / "report").rglob("*") if file.is_file()}
    assert build.write(study)["trials"] == 24
    after = {file: file.read_bytes() for file in (study / "report").rglob("*") if file.is_file()}
    assert before.keys() == after.keys()
    assert [file.name for file in before if before[file] != after[file]] == []
    assert not [path for path in study.iterdir() if path.name.startswith(".")]


def test_a_study_that_goes_on_is_reported_as_far_as_it_is(tmp_path: Path) -> None:
    folder = make(tmp_path / "out")
    files = sorted((folder / "trials").iterdir())
    for file in files[5:]:
        file.unlink()
    edit(folder, files[0].stem, lambda t: t.update(diverged="the loss is not finite at step 60"))
    edit(folder, files[0].stem, lambda t: t.update(training_loss=[*t["training_loss"][:59], None]))
    edit(folder, files[0].stem, lambda t: t.update(checkpoints=t["checkpoints"][:4]))
    assert build.write(folder) | {"report": 0, "page": 0} == {
        **{"trials": 5, "planned": 24, "report": 0, "page": 0},
        **{"tables": len(list((folder / "report" / "tables").glob("*.csv")))},
        **{"figures": len(list((folder / "report" / "figures").glob("*.png")))},
    }
    text = (folder / "report" / "report.md").read_text()
    assert "5 of 24 trials are finished" in text and f"{files[0].stem} (the loss is not finite at step 60)" in text
    assert build.check(folder) == []


def test_a_checkpoint_above_its_start_is_reported(study: Path, tmp_path: Path) -> None:
    text = (study / "report" / "report.md").read_text()
    assert "No trial's held-out loss lies above its start's at any checkpoint." in text
    folder = make(tmp_path / "out", blocks=[], concepts=("mug", "cat"), arms={"star": "*"}, seeds=(0,))
    worse = next(file.stem for file in (folder / "trials").iterdir() if file.stem.startswith("cat"))
    edit(folder, worse, lambda t: t["checkpoints"][1]["held_out"].update(difference=0.004))
    build.write(folder)
    (row,) = table(folder, "above-start")
    assert (row["arm"], row["step"], row["trials_above"], row["trials"], row["ids"]) == ("star", "10", "1", "2", worse)
    other = next(file.stem for file in (folder / "trials").iterdir() if file.stem.startswith("mug"))
    fell = trial(folder, other)["checkpoints"][1]["held_out"]["difference"]
    assert float(row["mean"]) == pytest.approx((0.004 + fell) / 2, rel=1e-4)
    assert "Where learning did harm" in (folder / "report" / "report.md").read_text()


def test_a_loss_that_is_no_number_leaves_a_gap(tmp_path: Path) -> None:
    folder = make(tmp_path / "out", blocks=BLOCKS[:1], concepts=("mug",), arms={"star": "*"}, seeds=(0,))
    id_ = next((folder / "trials").iterdir()).stem
    edit(folder, id_, lambda t: t.update(training_loss=[0.1, None, 0.3]))
    edit(folder, id_, lambda t: t["checkpoints"][1]["held_out"].update(mean=None, difference=None))
    build.write(folder)
    rows = table(folder, "01-curves")
    assert [row["step"] for row in rows if row["metric"] == "training-loss"] == ["1"]
    assert [row["step"] for row in rows if row["metric"] == "held-out-loss"] == ["0", "25", "50", "100"]
    assert all(row["low"] == row["high"] == "" for row in rows)  # one trial: no interval


def test_a_study_without_a_trial_has_a_report_that_says_so(tmp_path: Path) -> None:
    folder = make(tmp_path / "out")
    shutil.rmtree(folder / "trials")
    build.write(folder)
    assert "0 of 24 trials are finished" in (folder / "report" / "report.md").read_text()
    assert build.check(folder) == []


def test_check_finds_what_was_changed(tmp_path: Path) -> None:
    folder = make(tmp_path / "out", blocks=BLOCKS[2:4], concepts=CONCEPTS[:2], steps=(0, 100), scored=(100,))
    assert build.check(folder) == [f"{folder} has no report; write one first"]
    build.write(folder)
    assert build.check(folder) == []
    place = folder / "report"

    file = place / "tables" / "01-table.csv"
    whole = file.read_text()
    file.write_text(whole.replace("held-out-loss,lower,class", "held-out-loss,lower,glass"))
    assert build.check(folder) == ["report/tables/01-table.csv differs from what the trials give, first in line 4"]
    file.write_text(whole)

    text = (place / "report.md").read_text()
    (place / "report.md").write_text(text + "And so it is proven.\n")
    assert build.check(folder) == [
        f"report/report.md differs from what the trials give, first in line {text.count(chr(10)) + 1}"
    ]
    (place / "report.md").write_text(text)

    (place / "figures" / "02-reach.svg").unlink()
    (place / "notes.txt").write_text("mine")
    assert build.check(folder) == [
        "report/figures/02-reach.svg is missing; write the report again",
        "report/notes.txt is no part of the report; remove it or write the report again",
    ]
    build.write(folder)

    page = (place / "report.html").read_text()
    cell = re.findall(r"<td>(0\.\d+) \[", page)[0]
    (place / "report.html").write_text(page.replace(f"<td>{cell} [", "<td>0.001 ["))
    assert build.check(folder) == ["report/report.html differs from what the trials and the figures in report/ give"]
    (place / "report.html").write_text(page)
    assert build.check(folder) == []

    first = sorted((folder / "trials").iterdir())[0]
    kept = first.read_bytes()
    edit(folder, first.stem, lambda t: t["checkpoints"][-1]["held_out"].update(mean=0.5))
    found = build.check(folder)
    assert found[0] == f"trials/{first.stem}.json has changed since the report was written"
    assert any("01-table.csv differs" in sentence for sentence in found)

    first.unlink()
    assert build.check(folder)[0] == f"trials/{first.stem}.json is in the report, but not in the study's folder"
    build.write(folder)
    first.write_bytes(kept)
    assert build.check(folder)[0] == "the report is of 11 trials, but 12 are finished; write it again"


def test_a_stopped_report_leaves_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make(tmp_path / "out", blocks=BLOCKS[2:4], concepts=CONCEPTS[:2], steps=(0, 100), scored=(100,))
    build.write(folder)
    before = (folder / "report" / "report.md").read_bytes()
    next((folder / "trials").iterdir()).unlink()

    def full(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(build, "to_html", full)
        build.write(folder)
    assert (folder / "report" / "report.md").read_bytes() == before
    build.write(folder)
    assert "11 of 12 trials" in (folder / "report" / "report.md").read_text()


KILLED = """
import os, sys
from pathlib import Path
from photowords import files
from photowords.report import build
swap, rename, folder = files._exchange, os.replace, Path(sys.argv[2])
die = lambda *_: os._exit(9)
if sys.argv[1] == "before":
    files._exchange = die
elif sys.argv[1] == "after":
    files._exchange = lambda one, other: swap(one, other) and die()
else:  # between the two renames of a system that cannot swap
    files._exchange = lambda one, other: False
    os.replace = lambda one, other: die() if other == folder / "report" else rename(one, other)
build.write(folder)
"""


@pytest.mark.parametrize("when", ["before", "after", "between"])
def test_a_kill_while_the_report_is_put_in_its_place_leaves_the_old_or_the_new_one(tmp_path: Path, when: Any) -> None:
    folder = make(tmp_path / "out", blocks=BLOCKS[2:3], concepts=CONCEPTS[:2], steps=(0, 100), scored=(100,))
    build.write(folder)
    old = (folder / "report" / "report.md").read_text()
    next((folder / "trials").iterdir()).unlink()
    assert subprocess.run([sys.executable, "-c", KILLED, when, folder], check=False).returncode == 9
    if when == "between":
        assert not (folder / "report").exists()
        assert build.check(folder)  # puts the old one back, and finds that it is old
    text = (folder / "report" / "report.md").read_text()
    assert text == old if when != "after" else "11 of 12 trials" in text
    assert len(list((folder / "report" / "tables").iterdir())) >= 2
    build.write(folder)
    assert build.check(folder) == []


def test_what_is_no_report_is_not_overwritten(tmp_path: Path) -> None:
    folder = make(tmp_path / "out", blocks=[], concepts=("mug",))
    (folder / "report").mkdir()
    (folder / "report" / "thesis.tex").write_text("...")
    with pytest.raises(UserError, match=r"holds something else than a report"):
        build.write(folder)


@pytest.mark.parametrize(
    ("block", "said"),
    [
        ({"kind": "pie"}, "the [[report]] kind 'pie' is unknown; choose from curves, table"),
        ({"kind": "table", "metrics": ["lpips"], "colour": 1}, "unknown key 'colour'; the known keys are"),
        ({"kind": "table"}, "the table block has no metrics"),
        ({"kind": "table", "metrics": "lpips"}, "metrics of the table block is 'lpips', but it must be a list"),
        ({"kind": "table", "metrics": ["beauty"]}, "the metric 'beauty', which does not exist"),
        ({"kind": "table", "metrics": ["lpips"], "step": -1}, "step of the table block is -1"),
        ({"kind": "gallery", "step": ["1"]}, "step of the gallery block is ['1'], but it must be a list of steps"),
        ({"kind": "gallery", "rows": "mood"}, "rows of the gallery block is 'mood'; choose from concept, arm"),
        ({"kind": "reach", "reference": "moon"}, "names the arm 'moon', which the study has not; its arms are star"),
        ({"kind": "curves", "metrics": ["lpips"], "x": "years"}, "x of the curves block is 'years'; choose from steps"),
        ({"kind": ["table"]}, "the [[report]] kind ['table'] is unknown"),
        ({"kind": "reach", "reference": "star", "metric": 3}, "metric of the reach block is 3, but it must be a text"),
        ({"kind": "frontier", "x": ["lpips"], "y": "sifid"}, "x of the frontier block is ['lpips']"),
        ({"kind": "table", "metrics": ["lpips"], "title": 3}, "title of the table block is 3"),
        ({"kind": "curves", "metrics": ["lpips"], "log": "no"}, "log of the curves block is 'no', but it must be true"),
        ({"kind": "ablation", "metric": "lpips", "by": "mood"}, "by of the ablation block is 'mood'; choose from seed"),
    ],
)
def test_a_block_that_cannot_be_made_is_refused(block: Any, said: str) -> None:
    with pytest.raises(UserError, match=re.escape(said)):
        parse(block, list(ARMS))


def test_every_block_of_the_example_is_known() -> None:
    for block in BLOCKS:
        parse(block, list(ARMS))
    assert {block["kind"] for block in BLOCKS} == set(KINDS)


@pytest.mark.parametrize(
    ("value", "said"),
    [(2134.2, "2,130×"), (41.83, "41.8×"), (0.5, "0.5×"), (0, "not reached"), (math.inf, "at the start")],
)
def test_ratios_are_read_without_powers_of_ten(value: Any, said: str) -> None:
    from photowords.report.wording import ratio

    assert ratio(value) == said
