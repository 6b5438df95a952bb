"""A GPU that is not there: its tensors hold their numbers on the CPU, say that they are on cuda:0, and refuse to be
computed with beside the CPU's, as a GPU's do. So what would fail on a GPU alone fails in a test."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace
from typing import Any

import diffusers
import pytest
import torch
import transformers
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten

CUDA, CPU, META = torch.device("cuda", 0), torch.device("cpu"), torch.device("meta")
MIXING = {"_to_copy", "copy_"}
"""Operations that take tensors of both, to carry numbers from one to the other."""
INDEXING = {"index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index"}
"""Operations whose whole numbers may be the CPU's, as a GPU allows."""


class OnGpu(Tensor):
    """A tensor on the pretended GPU. C++ takes it for one of the meta device, which no kernel touches."""

    held: Tensor

    @staticmethod
    def __new__(cls, data: Any, requires_grad: bool = False) -> Any:
        # Libraries make parameters anew by the class of the old ones: wherever the numbers are, they stay there.
        return torch.nn.Parameter(data, requires_grad=requires_grad)

    @classmethod
    def of(cls, held: Tensor) -> OnGpu:
        made: OnGpu = Tensor._make_wrapper_subclass(
            cls, held.shape, held.stride(), held.storage_offset(), dtype=held.dtype, device=META
        )
        made.held = held
        return made

    device = property(lambda self: CUDA)
    is_cuda = property(lambda self: True)
    is_meta = is_cpu = property(lambda self: False)

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # type: ignore[override]
        return compute(func, args, kwargs or {})


def is_gpu(device: Any) -> bool:
    return isinstance(device, str | torch.device) and str(device).partition(":")[0] == "cuda"


def compute(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """An operation on tensors of the pretended GPU: done on the CPU, if a GPU would do it."""
    name, device = func.overloadpacket.__name__, kwargs.get("device")
    flat, shape = tree_flatten((args, dict(kwargs)))
    tensors = [one for one in flat if isinstance(one, Tensor)]
    ours = [one for one in tensors if isinstance(one, OnGpu)]
    others = [one for one in tensors if not isinstance(one, OnGpu) and one.dim() > 0]
    if name in INDEXING:
        others = [one for one in others if one.is_floating_point()]
    if ours and others and name not in MIXING:
        raise RuntimeError(f"Expected all tensors to be on the same device, but {func} has some on the CPU")
    if device is not None and torch.device(device).type == "meta" and ours:
        # C++'s own idea of where these are: of new tensors like them, and of gradients.
        in_backward = torch._C._current_graph_task_id() != -1
        if name.startswith("new_") or "_like" in name or (name == "_to_copy" and in_backward):
            device = CUDA
    if device is not None:
        here = is_gpu(device)
    else:
        here = isinstance(args[0], OnGpu) if name in (MIXING | INDEXING) else bool(ours)
    if here and not ours and kwargs.get("generator") is not None:
        raise RuntimeError("Expected a 'cuda' device type for generator but found 'cpu'")
    args, told = tree_unflatten([one.held if isinstance(one, OnGpu) else one for one in flat], shape)
    if is_gpu(device):
        told["device"] = CPU
    known = {id(one.held): one for one in ours}  # of operations in place

    def placed(made: Any) -> Any:
        if not here or not isinstance(made, Tensor):
            return made
        return known[id(made)] if id(made) in known else OnGpu.of(made)

    return tree_map(placed, func(*args, **told))


class Operations(TorchDispatchMode):
    """Makes tensors on the pretended GPU."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        tensors = [one for one in tree_flatten((args, kwargs))[0] if isinstance(one, Tensor)]
        device = kwargs.get("device")
        if device is not None and torch.device(device).type == "meta" and not tensors:
            device = CUDA  # what a kernel of C++ makes beside its inputs, such as a causal mask
            kwargs = {**kwargs, "device": CUDA}
        if is_gpu(device) or any(isinstance(one, OnGpu) for one in tensors):
            return compute(func, args, kwargs)
        return func(*args, **kwargs)


class Calls(TorchFunctionMode):
    """What C++ would settle by itself: which GPU "cuda" is, and where another tensor lies."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = {name: CUDA if is_gpu(value) else value for name, value in (kwargs or {}).items()}
        if func in (Tensor.to, Tensor.type_as):
            args = [CUDA if is_gpu(value) else value for value in args]
            if len(args) > 1 and isinstance(args[1], Tensor):
                return args[0].to(args[1].device, args[1].dtype)
        return func(*args, **kwargs)


@contextmanager
def pretended_gpu(memory: float = 24e9) -> Iterator[None]:
    """A machine with one GPU of so many bytes. Models are loaded as without it, and then moved."""
    made, made_as = torch.tensor, torch.as_tensor

    def tensor(data: Any, *, device: Any = None, **how: Any) -> Tensor:
        return made(data, **how) if device is None else made(data, **how).to(device)

    def as_tensor(data: Any, *, device: Any = None, **how: Any) -> Tensor:
        return made_as(data, **how) if device is None else made_as(data, **how).to(device)

    properties = SimpleNamespace(total_memory=int(memory))
    answers: dict[str, Any] = {
        **dict.fromkeys(("is_available", "is_initialized", "is_bf16_supported"), True),
        **dict.fromkeys(("_lazy_init", "empty_cache", "synchronize", "ipc_collect", "set_device"), None),
        **{"device_count": 1, "current_device": 0, "get_device_properties": properties},
    }

    def outside(owner: Any) -> classmethod[Any, Any, Any]:
        load = owner.from_pretrained.__func__

        def loaded(cls: Any, *args: Any, **kwargs: Any) -> Any:
            inner.undo()
            try:
                with _disable_current_modes():
                    return load(cls, *args, **kwargs)
            finally:
                patch()

        return classmethod(loaded)

    def patch() -> None:
        for name, answer in answers.items():
            inner.setattr(torch.cuda, name, _saying(answer))
        inner.setattr(torch.cuda, "device", lambda _: nullcontext())
        inner.setattr(torch, "tensor", tensor)
        inner.setattr(torch, "as_tensor", as_tensor)
        # A parameter that is moved becomes a new one, since these are of another class.
        inner.setattr(torch.__future__, "get_overwrite_module_params_on_conversion", lambda: True)

    with pytest.MonkeyPatch.context() as inner, pytest.MonkeyPatch.context() as outer:
        for owner in (diffusers.DiffusionPipeline, transformers.PreTrainedModel):
            outer.setattr(owner, "from_pretrained", outside(owner))
        patch()
        with Calls(), Operations():  # type: ignore[no-untyped-call]
            yield


def _saying(answer: Any) -> Callable[..., Any]:
    return lambda *_, **__: answer
