from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from photowords.demo import demo
from photowords.errors import UserError


def test_the_demo_leaves_one_picture_and_a_run(tmp_path: Path) -> None:
    result = demo(tmp_path / "demo", "mug", steps=4)
    picture = Image.open(result["picture"])
    assert picture.size[0] >= 1000 and np.asarray(picture.convert("L")).std() > 30
    assert result["sentence"].endswith("and white checkered mug")
    assert (tmp_path / "demo" / "run" / "concept.safetensors").is_file()
    assert result["held_out_loss"]["curve"][0]["step"] == 0
    with pytest.raises(UserError, match="already holds a run"):
        demo(tmp_path / "demo", "mug", steps=4)


def test_an_unknown_concept_names_the_bank(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no concept 'dragon'; choose from backpack, bird"):
        demo(tmp_path / "demo", "dragon")
    assert not (tmp_path / "demo").exists()
