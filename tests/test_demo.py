import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from photowords import plots, pocket
from photowords.demo import SWAPS, demo
from photowords.errors import UserError


def test_the_demo_leaves_one_picture_and_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures: list[Any] = []
    write = plots.write_png
    monkeypatch.setattr(plots, "write_png", lambda figure, path: (figures.append(figure), write(figure, path)))
    result = demo(tmp_path / "demo", "mug", steps=4)
    picture = Image.open(result["picture"])
    assert picture.size[0] >= 1000 and np.asarray(picture.convert("L")).std() > 30
    assert result["sentence"].endswith("and white checkered mug")
    said = [text.get_text() for axes in figures[-1].subfigs[0].axes for text in axes.texts]
    assert said == ["  ".join(f"<{i}> {word}" for i, word in enumerate(result["sentence"].split()))]
    assert (tmp_path / "demo" / "run" / "concept.safetensors").is_file()
    assert result["held_out_loss"]["curve"][0]["step"] == 0
    again = demo(tmp_path / "demo", "mug", steps=4)
    assert again["held_out_loss"] == result["held_out_loss"], "a second demo redraws the first"
    with pytest.raises(UserError, match="holds a demo of other settings"):
        demo(tmp_path / "demo", "mug", steps=5)


@pytest.mark.parametrize("name", pocket.concepts())
def test_every_concept_of_the_bank_has_a_word_to_swap(name: str) -> None:
    words = json.loads((pocket.BANK / name / "spec.json").read_text())["description"].split()
    assert any(word in SWAPS for word in words)


def test_an_unknown_concept_names_the_bank(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no concept 'dragon'; choose from backpack, bird"):
        demo(tmp_path / "demo", "dragon")
    assert not (tmp_path / "demo").exists()
