"""What a study learns from and draws: several photos a concept, masks and clicks, prompts of its own."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from photowords import evaluation, images, pocket, segmentation, study
from photowords.errors import UserError
from photowords.report.blocks import BLOCKS
from photowords.segmentation import Clicks
from photowords.study import plan, sources
from photowords.study.trial import work

TEXT = """
name = "few"
concepts = [
  {name = "mine", photos = ["a.png", {photo = "b.png", mask = "b-mask.png"}, {photo = "c.png", click = [200, 128]}]},
  {photo = "mug", box = [20, 20, 230, 240]},
]
metrics = ["pocket-lpips", "pocket-clip-editability"]
samples = 1
prompts = ["a photo of {}", "a picture of {}"]
edits = ["{} in the snow"]
picture_prompts = ["a photo of a {}", "{} on the beach"]
evaluate_at = [0, 1]
score_at = [1]
pictures_at = [0, 1]
[settings]
steps = 1
held_out = 4
background_weight = 0.25
[[arms]]
name = "words"
init = "words"
words = "red mug"
[[report]]
kind = "gallery"
columns = ["step", "prompt"]
step = [0, 1]
prompts = ["a photo of a {}", "{} on the beach"]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A study of three photos of two discs, the object the right one, and of one photo of the bank."""
    rows, columns = np.mgrid[:256, :256]
    right = (rows - 128) ** 2 + (columns - 190) ** 2 < 50**2
    left = (rows - 128) ** 2 + (columns - 60) ** 2 < 40**2
    for name, shift in (("a", 0), ("b", 20), ("c", 40)):
        pixels = np.full((256, 256, 3), 240, np.uint8)
        pixels[left], pixels[right] = (40, 160, 60), (200, 40 + shift, 40)
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    Image.fromarray(right).convert("L").save(tmp_path / "b-mask.png")
    (tmp_path / "few.toml").write_text(TEXT)
    return tmp_path / "few.toml"


def changed(file: Path, old: str, new: str) -> Path:
    assert old in TEXT
    file.write_text(TEXT.replace(old, new, 1))
    return file


def test_photos_masks_and_clicks_are_read(file: Path) -> None:
    mine, mug = plan.read(file).concepts
    assert [photo.path.name for photo in mine.photos] == ["a.png", "b.png", "c.png"] and mine.truth == ()
    assert [photo.mask and photo.mask.name for photo in mine.photos] == [None, "b-mask.png", None]
    assert [photo.clicks for photo in mine.photos] == [None, None, Clicks(((200.0, 128.0),))]
    assert mug.name == "mug" and mug.photos[0].clicks == Clicks(box=(20, 20, 230, 240))
    assert [path.name for path in mug.truth] == [f"view_{number}.png" for number in range(1, 5)]


def test_views_of_the_bank_are_photos_too_and_no_true_views_then(file: Path) -> None:
    (mug,) = plan.read(changed(file, TEXT[TEXT.index("concepts") : TEXT.index("metrics")], VIEWS)).concepts
    assert mug.name == "mug" and [photo.path for photo in mug.photos] == [pocket.view("mug", n) for n in (0, 2)]
    assert mug.photos[1].clicks == Clicks(((128.0, 128.0), (100.0, 100.0)), ((2.0, 2.0),))
    assert [path.name for path in mug.truth] == ["view_1.png", "view_3.png", "view_4.png"]


VIEWS = 'concepts = [{photos = ["mug", {photo = "mug:2", click = [[128, 128], [100, 100]], not = [2, 2]}]}]\n'


def test_a_trial_learns_from_all_photos_where_their_objects_are(file: Path, tiny_folder: Path) -> None:
    prepared = study.prepare(file, str(tiny_folder), "cpu", "fp32")
    mine, mug = prepared.trials
    job = prepared.job(mine)
    assert [photo.size for photo in job.photos] == [(256, 256)] * 3 and job.masks[0] is None
    masks = [np.asarray(mask) > 127 for mask in job.masks if mask is not None]
    truth = np.asarray(segmentation.load_mask(file.parent / "b-mask.png", (256, 256))) > 127
    assert (masks[0] == truth).all() and (masks[1] & truth).sum() / (masks[1] | truth).sum() > 0.9
    assert len(mine.spec["photos"]) == 3 and [bool(mask) for mask in mine.spec["masks"]] == [False, True, True]
    assert mine.spec["settings"]["background_weight"] == 0.25 and prepared.job(mug).masks[0] is not None

    outcome = work(job)
    assert outcome.failure is None and outcome.record and outcome.record["checkpoints"][1]["scores"]
    bare = work(dataclasses.replace(job, masks=[None] * 3)).record
    one = work(dataclasses.replace(job, photos=job.photos[:1], masks=[None])).record
    assert bare and one
    losses = [record["checkpoints"][0]["held_out"]["mean"] for record in (outcome.record, bare, one)]
    assert len(set(losses)) == 3  # the masks weigh the loss, and each photo counts

    # The square that is shown is the one that is learned: around the object.
    box = images.square_box((256, 256), prepared.masks[prepared.study.concepts[1].photos[0]])
    assert prepared.squares()["mug"].size == (box[2] - box[0],) * 2


def test_ids_hold_the_masks(file: Path, tiny_folder: Path) -> None:
    def ids(text: str = TEXT) -> list[str]:
        file.write_text(text)
        return [trial.id for trial in study.prepare(file, str(tiny_folder), "cpu", "fp32").trials]

    first = ids()
    assert [a == b for a, b in zip(ids(TEXT.replace(', mask = "b-mask.png"', "")), first, strict=True)] == [False, True]
    assert ids(TEXT.replace("[200, 128]", "[201, 128]"))[0] == first[0]  # another click on the same object
    assert [a == b for a, b in zip(ids(TEXT.replace("in the snow", "at night")), first, strict=True)] == [False, False]


def test_prompts_of_its_own_are_what_is_sampled_and_kept(file: Path, tiny_folder: Path) -> None:
    prepared = study.prepare(file, str(tiny_folder), "cpu", "fp32")
    trial = prepared.trials[1]
    assert trial.protocol.prompts == ("a photo of {}", "a picture of {}") and trial.protocol.edits == (
        "{} in the snow",
    )
    outcome = work(prepared.job(trial))
    assert outcome.record and outcome.record["picture_prompts"] == ["a photo of a {}", "{} on the beach"]
    assert '"a photo of {}", "a picture of {}"' in outcome.record["how"]["pocket-lpips"]
    assert '"{} in the snow"' in outcome.record["how"]["pocket-clip-editability"]
    names = [f"pictures/{trial.id}/step_{step:06d}_{number}.png" for step in (0, 1) for number in (0, 1)]
    assert sorted(outcome.pictures) == names
    assert json.loads(json.dumps(prepared.record))["picture_prompts"] == {"words": list(trial.picture_prompts)}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"a.png", ', '"z.png", ', r"concept mine: .*z\.png does not exist"),
        ('"b-mask.png"', '"z.png"', r"concept mine: .*z\.png does not exist"),
        ('mask = "b-mask.png"', 'mask = "b-mask.png", click = [1, 2]', "concept mine has a mask and click"),
        ("[200, 128]", "[200]", "click of concept mine holds .* a list of 2 numbers"),
        ("[200, 128]", '["a", 128]', "a list of 2 numbers"),
        ("[200, 128]", "[200, 128], colour = 1", "a photo of concept mine has the unknown key 'colour'"),
        ("box = [20, 20, 230, 240]", "photos = []", "a concept has photos and photo; say photo of each photo"),
        ('"a.png", {', '"b.png", {', "concept mine has .*b.png' twice"),
        ("edits = [", 'edits = ["in the snow", ', "edits has 'in the snow', which must have one {}"),
        ("edits = [", 'edits = ["{} in {there}", ', "one {}, for the concept, and no other brace"),
        ('"a.png", {', '1, "a.png", {', "the photo 1 of a concept must be a path or a table"),
        ('name = "few"', 'name = "few"\nsegmenter = 3', "segmenter of the study is 3"),
        ("step = [0, 1]", "step = [0, 7]", "the gallery block shows 7, which pictures_at of the study has not"),
        ('"{} on the beach"]\nevaluate_at', '"x {}"]\nevaluate_at', "shows '{} on the beach', which picture_prompts"),
    ],
)
def test_a_bad_file_gets_one_sentence(file: Path, old: str, new: str, said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        plan.read(changed(file, old, new))
    assert str(file) in str(caught.value) and "\n" not in str(caught.value)


def test_what_needs_a_mask_or_clicks_is_refused_without(file: Path) -> None:
    bare = TEXT.replace(', mask = "b-mask.png"', "").replace(", click = [200, 128]", "").replace(BOX, "")
    file.write_text(bare)
    with pytest.raises(UserError, match="background_weight is of what lies outside a mask, and no concept has one"):
        plan.read(file)
    file.write_text('segmenter = "facebook/sam-vit-base"\n' + bare.replace("background_weight = 0.25", ""))
    with pytest.raises(UserError, match="segmenter answers clicks, and no concept has any"):
        plan.read(file)


BOX = ", box = [20, 20, 230, 240]"


def test_a_click_beside_the_photo_names_its_concept(file: Path, tiny_folder: Path) -> None:
    changed(file, "[200, 128]", "[300, 128]")
    with pytest.raises(UserError, match="concept mine: the click 300,128 is outside the picture"):
        study.prepare(file, str(tiny_folder), "cpu", "fp32")


def test_every_key_of_a_studys_file_is_explained_and_the_example_can_be_read(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "studies.md").read_text(encoding="utf-8")
    keys = {*plan.TOP, *sources.CONCEPT, *(f.name for block in BLOCKS.values() for f in dataclasses.fields(block))}
    assert [key for key in keys if f"`{key}`" not in page] == []
    assert [kind for kind in BLOCKS if f"| `{kind}` |" not in page] == []
    (tmp_path / "kettle.jpg").write_bytes(pocket.view("teapot").read_bytes())
    (tmp_path / "kettles.toml").write_text(page.split("```toml\n")[1].split("```")[0])
    assert [concept.name for concept in plan.read(tmp_path / "kettles.toml").concepts] == ["mug", "kettle"]


def test_pictures_are_compared_with_the_squares_around_the_objects(
    file: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = study.prepare(file, str(tiny_folder), "cpu", "fp32")
    compared: list[Image.Image] = []
    monkeypatch.setattr(evaluation, "evaluate", lambda model, concept, squares, *told: compared.extend(squares) or {})
    assert work(prepared.job(prepared.trials[0])).failure is None
    whole, masked, clicked = compared
    assert whole.size == (256, 256)
    for square in (masked, clicked):
        assert square.width == square.height == pytest.approx(101 / 0.78, abs=5), "a disc of radius 50 and its margin"
