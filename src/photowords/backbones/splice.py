"""The splice: learned vectors take the place of tokens inside a frozen text encoder.

A forward hook on the embedding module swaps rows of its output. The vocabulary table never grows, is
never copied back, and never sees a gradient: the learned vectors are the only leaf.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from photowords.errors import UserError
from photowords.prompts import Piece

Position = tuple[int, int, int]  # (prompt, place in the prompt, row of the learned vectors)


def lay_out(
    prompts: Sequence[Sequence[Piece]], ids_of: dict[str, list[int]], begin: int, end: int, pad: int, context: int
) -> tuple[Tensor, list[Position]]:
    """Token ids (prompts, context) and where learned rows go.

    A learned row stands on the begin token's id, which is lower than the end token's in CLIP's vocabulary:
    encoders that find the sentence's end by the largest id still find it. Raises UserError when a prompt,
    with its begin and end, has more tokens than the context.
    """
    ids = torch.full((len(prompts), context), pad, dtype=torch.long)
    positions: list[Position] = []
    for number, prompt in enumerate(prompts):
        row = [begin]
        for piece in prompt:
            if isinstance(piece, int):
                positions.append((number, len(row), piece))
                row.append(begin)
            else:
                row.extend(ids_of[piece])
        row.append(end)
        if len(row) > context:
            raise UserError(
                f"the prompt has {len(row) - 2} tokens, but the model's text encoder reads at most "
                f"{context - 2}; shorten the prompt or use a concept of fewer words"
            )
        ids[number, : len(row)] = torch.tensor(row)
    return ids, positions


@contextmanager
def spliced(embedding: nn.Module, vectors: Tensor, positions: Sequence[Position]) -> Iterator[None]:
    """While open, the embedding's output has ``vectors[row]`` (rows, width) at the given positions."""
    if not positions:
        yield
        return
    prompt, place, row = (torch.tensor(index, device=vectors.device) for index in zip(*positions, strict=True))

    def replace(module: nn.Module, inputs: object, output: Tensor) -> Tensor:
        return output.index_put((prompt, place), vectors[row].to(output.dtype))

    hook = embedding.register_forward_hook(replace)
    try:
        yield
    finally:
        hook.remove()
