"""As many samples at a time as the memory holds."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import TypeVar

import torch
from torch import Tensor

from photowords.backbones.interface import Backbone
from photowords.errors import PhotowordsWarning, is_of_memory

Made = TypeVar("Made")


def within_memory(
    backbone: Backbone, samples: Tensor, work: Callable[[Tensor], Made], most: int | None = None
) -> Iterator[tuple[Tensor, Made]]:
    """Numbers of samples, and what ``work`` makes of them, until all (n,) had their turn.

    As many at once as there are, or ``most``. Where the memory does not hold them, half as many; where it does not hold
    one, with its activations computed again (``Backbone.spare_memory``). A warning says so, once: the backbone keeps
    what was found. Raises what PyTorch raises, on a GPU torch.OutOfMemoryError, where nothing helps.
    """
    most, done = most or len(samples), 0
    while done < len(samples):
        rows = samples[done : done + min(most, backbone.at_once or most)]
        try:
            made = work(rows)
        except (MemoryError, RuntimeError) as error:
            if not is_of_memory(error):
                raise
            if len(rows) > 1:
                backbone.at_once = half = len(rows) // 2
                found = f"{len(rows)} samples at once; they are taken {half} by {half}"
            elif torch.is_grad_enabled() and backbone.spare_memory():
                backbone.at_once = None
                found = "what a sample's gradient needs; that is computed twice instead of kept"
            else:
                raise
        else:
            yield rows, made
            done += len(rows)
            continue
        warnings.warn(  # outside of the handler, which holds on to the memory
            f"the memory does not hold {found}, which changes nothing but the time",
            PhotowordsWarning,
            stacklevel=3,
        )
