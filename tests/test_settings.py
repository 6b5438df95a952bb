import diffusers
import pytest

from photowords.errors import UserError
from photowords.settings import SCHEDULERS, GenerateSettings, InvertSettings, parse_seeds


def test_the_defaults_are_the_papers() -> None:
    settings = InvertSettings()
    assert (settings.steps, settings.batch, settings.learning_rate) == (100, 4, 0.02)
    assert InvertSettings(lr=0.001).learning_rate == 0.001


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"steps": 0}, "steps is 0, but it must be at least 1"),
        ({"batch": -1}, "batch is -1"),
        ({"lr": 0.0}, "learning rate must be above 0"),
        ({"lr": float("nan")}, "learning rate"),
        ({"kind": "person"}, "must be one of object, style"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_settings_out_of_range_are_refused(fields: dict[str, float], message: str) -> None:
    with pytest.raises(UserError, match=message):
        InvertSettings(**fields)  # type: ignore[arg-type]


def test_an_unknown_setting_in_a_run_folder_is_named() -> None:
    with pytest.raises(UserError, match="unknown setting 'momentum'"):
        InvertSettings.from_json({"steps": 3, "momentum": 1})


def test_every_scheduler_exists_in_diffusers() -> None:
    for name in SCHEDULERS.values():
        assert hasattr(diffusers, name)
    with pytest.raises(UserError, match="scheduler 'magic' is unknown"):
        GenerateSettings(scheduler="magic")


def test_seeds_are_read_as_people_write_them() -> None:
    assert parse_seeds("0-3") == [0, 1, 2, 3]
    assert parse_seeds("7, 9-10") == [7, 9, 10]


@pytest.mark.parametrize("text", ["", "a", "3-1", "-2", "1-", "0-99999"])
def test_seeds_that_are_not_seeds_are_refused(text: str) -> None:
    with pytest.raises(UserError, match="seeds"):
        parse_seeds(text)
