"""Settings: checked when they are made, each with help, and each changes something."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import diffusers
import pytest
from PIL import Image

from photowords import fields
from photowords.backbones import Backbone
from photowords.errors import UserError
from photowords.generation import generate
from photowords.initializers import start
from photowords.inversion import Step, invert
from photowords.recipes import RECIPES, explained, named, recipe
from photowords.settings import SCHEDULERS, GenerateSettings, InvertSettings, parse_seeds
from photowords.starts import STARTS, Words
from photowords.study import plan

CLASSES = (InvertSettings, GenerateSettings, *STARTS.values())


def test_a_rate_is_relative_to_the_models_words_unless_it_is_a_plain_number() -> None:
    assert InvertSettings().rho == InvertSettings(batch=16).rho == 0.3
    assert [InvertSettings(optimizer="adamw", batch=batch).rho for batch in (4, 16)] == [0.22, 0.44]
    assert InvertSettings(lr="rho:0.1", batch=16).rho == 0.1 and InvertSettings(lr=0.02).rho is None


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"steps": 0}, "`steps` is 0, but it must be a whole number from 1 to 10,000,000"),
        ({"batch": 10**20}, "`batch` is 1000.*, but it must be a whole number from 1 to 100,000"),
        ({"steps": 2.0}, "`steps` is 2.0, but it must be a whole number"),
        ({"steps": True}, "`steps` is True"),
        ({"batch": -1}, "`batch` is -1"),
        ({"lr": 0.0}, "`lr` is 0.0, but it must be a number above 0"),
        ({"lr": float("nan")}, "`lr` is nan"),
        ({"lr": "1"}, "`lr` is '1', but it must be a number above 0, or rho: and such a number"),
        ({"lr": "rho:-1"}, "`lr` is 'rho:-1', but it must be a number above 0"),
        ({"lr": "rho:"}, "`lr` is 'rho:', but it must be a number above 0"),
        ({"lr": "rho:nan"}, "`lr` is 'rho:nan', but it must be a number above 0"),
        ({"optimizer": "sgd"}, "`optimizer` is 'sgd', but it must be one of tangent, adamw"),
        ({"flip": "no"}, "`flip` is 'no', but it must be true or false"),
        ({"flip": 1}, "`flip` is 1, but it must be true or false"),
        ({"learnable_property": "person"}, "must be one of object, style"),
        ({"learnable_property": None}, "`learnable_property` is None, but it must be one of"),
        ({"seed": -1}, "`seed` is -1"),
        ({"background_weight": 1.5}, "`background_weight` is 1.5, but it must be a number from 0 to 1"),
        ({"evaluate_at": (0, -1)}, "must be a list of whole numbers, each of at least 0"),
        ({"evaluate_at": 5}, "must be a list of whole numbers"),
        ({"evaluate_at": (0, 200)}, "`evaluate_at` asks for step 200, but there are only 50 `steps`"),
    ],
)
def test_settings_of_the_wrong_type_or_out_of_range_are_refused(told: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        InvertSettings(**told)


def test_settings_of_another_spelling_of_the_same_are_the_same() -> None:
    assert InvertSettings(lr=1) == InvertSettings(lr=1.0) and isinstance(InvertSettings(lr=1).lr, float)
    assert InvertSettings(evaluate_at=[0, 5]).evaluate_at == (0, 5)  # type: ignore[arg-type]
    assert InvertSettings.from_json(dataclasses.asdict(InvertSettings(flip=True))) == InvertSettings(flip=True)
    assert InvertSettings.from_json({"kind": "style"}) == InvertSettings(learnable_property="style"), "of older runs"


@pytest.mark.parametrize("guidance", [0, 0.5, -1])
def test_guidance_below_one_is_refused(guidance: float) -> None:
    """Classifier-free guidance is off at 1: diffusers draws 0 and 1 alike."""
    with pytest.raises(UserError, match=r"`guidance` is .*, but it must be a number of at least 1"):
        GenerateSettings(guidance=guidance)


@pytest.mark.parametrize("cls", CLASSES)
def test_every_field_says_what_it_is(cls: type) -> None:
    for field in fields.fields(cls).values():
        assert len(field.help) > 10 and not field.help.endswith("."), field.name
        assert field.kind is bool or field.metavar, field.name
        assert not (field.optional and field.default is not None)


@pytest.mark.parametrize("cls", CLASSES)
def test_a_name_means_the_same_wherever_it_stands(cls: type) -> None:
    """One option serves all starts, so that their fields of one name must be alike."""
    for other in STARTS.values():
        shared = fields.fields(cls).keys() & fields.fields(other).keys() - {"seed"}
        if issubclass(cls, tuple(STARTS.values())):
            assert all(fields.fields(cls)[name] == fields.fields(other)[name] for name in shared)
        else:
            assert not shared


# --- what the sources state ---


def test_settings_like_those_of_a_source() -> None:
    """The numbers of each script, as its files have them; what is told wins."""
    squashed: dict[str, Any] = {
        "resize": "squash",
        "flip": True,
        "optimizer": "adamw",
        "noise": "independent",
        "draws": "independent",
        "average": "none",
        "weight_decay": 0.01,
    }
    original: dict[str, Any] = {**squashed, "steps": 6100, "seed": 23, "templates": "textual-inversion"}
    assert recipe("textual-inversion-ldm") == InvertSettings(batch=4, lr=0.02, **original)
    assert recipe("textual-inversion-sd") == InvertSettings(batch=2, lr=0.01, **original)
    assert recipe("diffusers") == InvertSettings(steps=5000, batch=16, lr=1e-4, templates="diffusers", **squashed)
    assert recipe("paper") == recipe("textual-inversion-ldm", steps=100)
    assert recipe("paper", batch=1, flip=False).batch == 1 and not recipe("paper", flip=False).flip
    assert {named(name).precision for name in RECIPES if name != "fast"} == {"fp32"}
    assert recipe("fast") == InvertSettings(), "ours, and what is done where nobody says"
    assert recipe("vanilla") == recipe("textual-inversion-ldm", steps=5000) and named("vanilla").init == "star"
    with pytest.raises(UserError, match="there is no `recipe` 'dreambooth'; choose from fast, paper, vanilla, textual"):
        recipe("dreambooth")


def test_a_studys_file_takes_a_sources_settings(tmp_path: Path) -> None:
    """What is nearer wins: an arm's keys, its recipe, [settings], the recipe of those."""
    file = tmp_path / "study.toml"
    told = 'name = "s"\nconcepts = ["mug"]\n[settings]\nrecipe = "diffusers"\nsteps = 7\n'
    arms = '[[arms]]\nname = "a"\ninit = "star"\n[[arms]]\nname = "b"\ninit = "star"\nrecipe = "paper"\nbatch = 3\n'
    file.write_text(told + arms)
    one, other = (dataclasses.replace(arm.settings, evaluate_at=None) for arm in plan.read(file).arms)
    assert one == recipe("diffusers", steps=7)
    assert other == recipe("paper", batch=3, seed=0), "the seeds are the study's own"
    file.write_text((told + arms).replace('"paper"', '"mine"'))
    with pytest.raises(UserError, match="arm b: there is no recipe 'mine'; choose from fast, paper"):
        plan.read(file)


@pytest.mark.parametrize("name", RECIPES)
def test_a_source_says_of_every_setting_where_it_comes_from(name: str) -> None:
    told, said = named(name), explained(name)
    assert {*told.stated, *told.inherited, *told.unstated} == set(fields.fields(InvertSettings))
    assert len(told.stated) + len(told.inherited) + len(told.unstated) == len(fields.fields(InvertSettings))
    assert (
        said.startswith("it states steps")
        and ("dtype fp32" in said) == (name != "fast")
        and "held_out" in said.split("not stated")[1]
    )
    assert ("init star, " in said or "init star;" in said) == (name == "vanilla")
    assert ("on whose code it builds" in said) == (name in ("paper", "vanilla")) == (told.base is not None)


# --- each changes something ---

INVERT = {
    "steps": 2,
    "batch": 3,
    "lr": 0.5,
    "optimizer": "adamw",
    "noise": "independent",
    "draws": "independent",
    "average": "none",
    "seed": 1,
    "learnable_property": "style",
    "held_out": 5,
    "evaluate_every": 1,
    "evaluate_at": (2,),
    "background_weight": 0.7,
    "flip": True,
    "templates": "textual-inversion",
    "resize": "squash",
}
GENERATE = {
    "steps": 3,
    "guidance": 9.0,
    "scheduler": "euler-a",  # "euler" is DDIM in other words, and draws the same
    "negative": "red",
    "batch": 1,
}


@pytest.fixture(scope="module")
def mask() -> Image.Image:
    found = Image.new("L", (256, 256))
    found.paste(255, (60, 60, 200, 200))
    return found


def outcome(backbone: Backbone, photo: Image.Image, mask: Image.Image, **told: Any) -> list[Any]:
    """Everything that one inversion says at each step, as numbers."""
    settings = InvertSettings(**{"steps": 4, "batch": 2, "held_out": 4, "evaluate_every": 4, **told})
    steps: list[Step] = list(
        invert(backbone, start(Words(words="red mug"), [], backbone), [photo], settings, None, [mask])
    )
    held_out = [None if step.held_out is None else step.held_out.tolist() for step in steps]
    return [held_out, [step.loss for step in steps], steps[-1].concept.vectors("clip_l").tolist()]


@pytest.mark.parametrize("name", INVERT)
def test_every_setting_of_the_inversion_changes_it(
    name: str, tiny: Backbone, mug: Image.Image, mask: Image.Image
) -> None:
    assert outcome(tiny, mug, mask) == outcome(tiny, mug, mask), "nothing else changes it"
    assert outcome(tiny, mug, mask) != outcome(tiny, mug, mask, **{name: INVERT[name]})


def test_weight_decay_changes_what_adamw_does(tiny: Backbone, mug: Image.Image, mask: Image.Image) -> None:
    assert set(fields.fields(InvertSettings)) == {*INVERT, "weight_decay"}
    plain = outcome(tiny, mug, mask, optimizer="adamw")
    assert plain != outcome(tiny, mug, mask, optimizer="adamw", weight_decay=0.9)


def test_what_stable_diffusion_does_not_have_is_tried_elsewhere() -> None:
    """FLUX.1's own pipeline draws with a ``true_cfg_scale`` in families/test_flow_sampling.py."""
    assert set(fields.fields(GenerateSettings)) == {*GENERATE, "true_cfg_scale"}


@pytest.mark.parametrize("name", GENERATE)
def test_every_setting_of_the_sampler_changes_it(name: str, tiny: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[int] = []
    forward = tiny._pipe.unet.forward  # type: ignore[attr-defined]
    monkeypatch.setattr(tiny._pipe.unet, "forward", lambda z, *a, **k: rows.append(len(z)) or forward(z, *a, **k))  # type: ignore[attr-defined]

    def drawn(**told: Any) -> list[Any]:
        rows.clear()
        pictures = generate(tiny, "a photo of a mug", [], [0, 1], GenerateSettings(**{"steps": 2, **told}))
        return [list(rows), *(picture.tobytes() for picture in pictures)]

    assert drawn() == drawn() and drawn() != drawn(**{name: GENERATE[name]})


def test_an_unknown_setting_in_a_run_folder_is_named() -> None:
    with pytest.raises(UserError, match="unknown setting 'momentum'"):
        InvertSettings.from_json({"steps": 3, "momentum": 1})


def test_every_scheduler_exists_in_diffusers() -> None:
    for name in SCHEDULERS.values():
        assert hasattr(diffusers, name)
    with pytest.raises(UserError, match="`scheduler` is 'magic', but it must be one of default, ddim"):
        GenerateSettings(scheduler="magic")


def test_seeds_are_read_as_people_write_them() -> None:
    assert parse_seeds("0-3") == [0, 1, 2, 3] and parse_seeds("7, 9-10") == [7, 9, 10]


@pytest.mark.parametrize("text", ["", "a", "3-1", "-2", "1-", "0-99999", "9" * 5000])
def test_seeds_that_are_not_seeds_are_refused(text: str) -> None:
    with pytest.raises(UserError, match="seeds"):
        parse_seeds(text)
