"""Embedding files as other tools write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import Parameter, ParameterDict

from photowords.concept import Concept, Word

SD1, SDXL = {"clip_l": 768}, {"clip_l": 768, "clip_g": 1280}


def table(count: int, width: int = 768) -> Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(count + width))


def a1111(key: str = "*", **more: Any) -> dict[str, Any]:
    return {"string_to_token": {key: 265}, "string_to_param": {key: table(2)}, "name": "my cup", "step": 9, **more}


def rinongal(**state: Any) -> dict[str, Any]:
    params = ParameterDict({"*": Parameter(table(2))})
    for key, value in state.items():
        setattr(params, key, value)
    return {"string_to_token": {"*": torch.tensor(265)}, "string_to_param": params}


def before_torch_1_12() -> dict[str, Any]:
    data = rinongal()
    del data["string_to_param"].__dict__["_keys"]
    return data


def half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def ours(path: Path, **changes: str) -> None:
    note = '[{"text": "a", "trainable": true, "tokens": {"clip_l": 1}}]'
    header = {"format": "photowords/2", "name": "mug", "words": note}
    save_file({"clip_l": table(1)}, path, {**header, "provenance": "{}", **changes})


NOT_ONE = "is not an embedding of a form that is understood: photowords, A1111"


def concept(count: int, widths: dict[str, int] = SD1) -> Concept:
    tables = {encoder: table(count, width) for encoder, width in widths.items()}
    words = [
        Word(f"wörd{i}", {encoder: rows[i : i + 1] for encoder, rows in tables.items()}, trainable=i != 1)
        for i in range(count)
    ]
    return Concept("mug", tuple(words), {"step": 40, "words": ["a", 1.5, None], "name": "x"})
