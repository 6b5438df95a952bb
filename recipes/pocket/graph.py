"""A training step as one CUDA graph: a GPU that waits for the host at every kernel does a tenth of what it can."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

WARM_UP = 3  # steps on a stream of their own before the capture, as PyTorch asks for


class Graphed:
    """A step that a GPU repeats by itself, on tensors of the same shapes each time.

    ``step`` makes everything from the tensors it is given, reads nothing back and keeps what it changes in place. What
    it returns is overwritten by the next call.
    """

    def __init__(self, step: Callable[..., Tensor]) -> None:
        self._step, self._warm = step, 0
        self._graph: torch.cuda.CUDAGraph | None = None

    def __call__(self, *drawn: Tensor) -> Tensor:
        if self._warm < WARM_UP:
            self._warm += 1
            aside = torch.cuda.Stream()
            aside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(aside):
                result = self._step(*drawn)
            torch.cuda.current_stream().wait_stream(aside)
            return result
        if self._graph is None:
            self._drawn, graph = [tensor.clone() for tensor in drawn], torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):  # which records, and does nothing yet
                self._result = self._step(*self._drawn)
            self._graph = graph  # now that it is whole
        torch._foreach_copy_(self._drawn, list(drawn))
        self._graph.replay()
        return self._result
