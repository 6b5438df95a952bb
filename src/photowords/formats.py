"""Every embedding file: ours, and those of diffusers, A1111, kohya, ComfyUI and InvokeAI.

``read`` takes any of them. To write for one more tool, add a row to ``FORMS``.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from photowords.concept import Concept
from photowords.errors import UserError
from photowords.files import write_bytes
from photowords.reading import CLIP_G, CLIP_L, KEYS, OURS, read

__all__ = ["FORMS", "SUFFIX", "Form", "read", "suffix", "write"]


@dataclass(frozen=True)
class Form:
    """How a tool's file is written: the bytes for a concept of one text encoder, and of several."""

    one: Callable[[Concept], bytes]
    several: Callable[[Concept], bytes]
    suffix: str = ".safetensors"


def write(concept: Concept, path: Path | str, form: str = "photowords") -> None:
    """Write a concept whole or not at all, float32; the same concept gives the same bytes.

    Args:
        concept: for a foreign form, of Stable Diffusion's text encoder or of both of SDXL's.
        path: the file, in a folder that exists; ``suffix`` tells the extension that the tool expects.
        form: a key of ``FORMS``.

    Raises:
        UserError: an unknown form, encoders that it has no place for, or a file that cannot be written.
    """
    if form not in FORMS:
        raise UserError(f"there is no form {form!r}; choose one of {', '.join(FORMS)}")
    if form != "photowords" and set(concept.encoders) not in ({CLIP_L}, {CLIP_L, CLIP_G}):
        raise UserError(f"the form {form} has no place for {', '.join(concept.encoders)}; use the form photowords")
    encode = FORMS[form].one if len(concept.encoders) == 1 else FORMS[form].several
    write_bytes(path, encode(concept))


def suffix(concept: Concept, form: str) -> str:
    """The extension that the tool looks for: as in ``SUFFIX``, but SDXL's pair is safetensors for every tool."""
    return SUFFIX[form] if len(concept.encoders) == 1 else ".safetensors"


def _safetensors(tables: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    data = safetensors.torch.save(dict(tables), dict(metadata))
    # The library orders the metadata by chance, so the header is written again, sorted: the same bytes each time.
    size = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:size])
    header["__metadata__"] = dict(sorted(metadata.items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # tensors begin at a multiple of eight
    return len(text).to_bytes(8, "little") + text + data[size:]


def _ours(concept: Concept) -> bytes:
    notes = [
        {
            "text": word.text,
            "trainable": word.trainable,
            "tokens": {name: word.tokens(name) for name in concept.encoders},
        }
        for word in concept.words
    ]
    header = {"format": OURS, "name": concept.name, "words": json.dumps(notes)}
    header["provenance"] = json.dumps(dict(concept.provenance))
    return _safetensors({encoder: concept.vectors(encoder) for encoder in concept.encoders}, header)


def _token(concept: Concept) -> bytes:
    return _safetensors({f"<{concept.name}>": concept.vectors(CLIP_L)}, {"format": "pt"})


def _emb_params(concept: Concept, **header: str) -> bytes:
    return _safetensors({"emb_params": concept.vectors(CLIP_L)}, {"format": "pt", **header})


def _clip(concept: Concept, **header: str) -> bytes:
    tables = {
        key: concept.vectors(encoder)
        for key, (form, encoder) in KEYS.items()
        if form == "F" and encoder in concept.encoders
    }
    return _safetensors(tables, {"format": "pt", **header})


def _modelspec(concept: Concept) -> dict[str, str]:
    """kohya's header, without the date, which would change the bytes; no architecture for an unknown width."""
    width = 2048 if CLIP_G in concept.encoders else concept.vectors(CLIP_L).shape[1]
    bases = {768: "stable-diffusion-v1", 1024: "stable-diffusion-v2-512", 2048: "stable-diffusion-xl-v1-base"}
    base = {"modelspec.architecture": f"{bases[width]}/textual-inversion"} if width in bases else {}
    return {"modelspec.sai_model_spec": "1.0.0", "modelspec.title": concept.name, **base}


def _a1111(concept: Concept) -> bytes:
    data = {
        "string_to_token": {"*": 265},
        "string_to_param": {"*": concept.vectors(CLIP_L)},
        "name": concept.name,
        "step": concept.provenance.get("step"),
        "sd_checkpoint": None,
        "sd_checkpoint_name": None,
    }
    buffer = io.BytesIO()  # not the file: torch would write the temporary file's name into the archive
    torch.save(data, buffer)
    return buffer.getvalue()


FORMS = {
    "photowords": Form(_ours, _ours),
    "diffusers": Form(_token, _clip),
    "a1111": Form(_a1111, _clip, ".pt"),
    "kohya": Form(lambda c: _emb_params(c, **_modelspec(c)), lambda c: _clip(c, **_modelspec(c))),
    "comfyui": Form(_emb_params, _clip),
    "invokeai": Form(_emb_params, _clip),
}
SUFFIX = {form: row.suffix for form, row in FORMS.items()}
