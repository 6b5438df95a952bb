"""The table of tools: what each can use, what its file holds under which keys, and what the file may be called.

What each demands, with its source, is in tests/tool_rules.py.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.nn import Parameter, ParameterDict

from photowords.concept import Concept
from photowords.errors import UserError
from photowords.formats import card, header
from photowords.formats.containers import check_safetensors, check_torch, to_safetensors, to_torch
from photowords.formats.families import (
    BERT,
    CLIP_G,
    CLIP_L,
    FLUX,
    LDM,
    SD1,
    SD2,
    SD2_V,
    SD3,
    SDXL,
    T5,
    Family,
    family,
    widths,
)
from photowords.formats.names import Naming
from photowords.settings import EXPORTS


@dataclass(frozen=True)
class Package:
    """What goes into a file: tables under the tool's keys, what stands for the concept in its prompts, the file's name
    without its extension, and a picture to look at."""

    concept: Concept
    tables: Mapping[str, Tensor]
    phrase: str
    stem: str
    picture: Image.Image | None


@dataclass(frozen=True)
class Form:
    """How a file is made, and the tool's own demands on its bytes: ``check`` raises ValueError where one is not met."""

    encode: Callable[[Package], bytes]
    check: Callable[[bytes], None] = check_safetensors


def _ours(package: Package) -> bytes:
    return to_safetensors(package.tables, header.say(package.concept))


def _safetensors(package: Package) -> bytes:
    said = {f"{header.PREFIX}{key}": text for key, text in header.say(package.concept).items()}
    spec = header.modelspec(package.concept, package.tables, package.phrase, package.picture)
    return to_safetensors(package.tables, {"format": "pt", **said, **spec})


def _entries(package: Package, name: str) -> dict[str, Any]:
    """What A1111 saves itself (Embedding.save), and what we say beside it. 265 is the token of ``*``."""
    (table,) = package.tables.values()
    return {
        "string_to_token": {"*": 265},
        "string_to_param": {"*": table},
        "name": name,
        "step": package.concept.provenance.get("step"),
        "sd_checkpoint": None,
        "sd_checkpoint_name": None,
        "photowords": header.say(package.concept),
    }


def _a1111(package: Package) -> bytes:
    # A1111 goes by the file's name; diffusers makes this a token, which no word of its vocabulary may be.
    return to_torch(_entries(package, TOOLS["diffusers"].phrase_for(package.concept, package.stem)))


def _card(package: Package, format: str) -> bytes:
    return card.write(_entries(package, package.stem), package.picture, package.phrase, format)  # it goes by the name


def _original(package: Package) -> bytes:
    ((key, table),) = package.tables.items()
    token = 1008 if BERT in package.concept.encoders else 265  # of ``*`` in BERT's and CLIP's vocabularies
    return to_torch(
        {
            "string_to_token": {key: torch.tensor(token)},
            "string_to_param": ParameterDict({key: Parameter(table.clone())}),
            "photowords": header.say(package.concept),
        }
    )


@dataclass(frozen=True)
class Tool:
    """How a concept is written for a tool.

    Attributes:
        title: as people call it.
        families: what it can use; None is anything.
        files: extension -> how the file is made; the first is the usual one.
        one: the key of a file of one text encoder, which may hold the name in {lower} case.
        keys: text encoder -> the key in a file of several.
        phrase: what stands for it in prompts: the file's {stem}, its {name}, or that in {lower} case, as CLIP reads.
        naming: what the file may be called; None where nobody types its name.
        any_width: whether it takes vectors of any width: it loads whatever model one gives it.
        pairs: whether all text encoders must have equal numbers of vectors.
    """

    title: str
    families: tuple[Family, ...] | None
    files: Mapping[str, Form]
    one: str
    phrase: str
    keys: Mapping[str, str] = field(default_factory=lambda: {CLIP_L: CLIP_L, CLIP_G: CLIP_G, T5: T5})
    naming: Naming | None = None
    any_width: bool = False
    pairs: bool = False

    def phrase_for(self, concept: Concept, path: Path | str) -> str:
        """What stands for the concept in prompts, once the file is where the tool looks for it."""
        return self.phrase.format(stem=Path(path).stem, name=concept.name, lower=concept.name.lower())

    def tables(self, concept: Concept) -> dict[str, Tensor]:
        """The tables of its file. Raises UserError for a concept that the tool cannot use."""
        self.check(concept)
        if len(concept.encoders) == 1 and self.one:
            return {self.one.format(lower=concept.name.lower()): concept.vectors(concept.encoders[0])}
        return {self.keys.get(encoder, encoder): concept.vectors(encoder) for encoder in concept.encoders}

    def knows(self, concept: Concept) -> bool:
        """Whether it has models of the concept's text encoders and widths."""
        made_for = family(concept)
        if self.families is None or made_for in self.families:
            return True
        alike = any(set(known.widths) == set(concept.encoders) for known in self.families)
        return made_for is None and self.any_width and alike

    def check(self, concept: Concept) -> None:
        """Raise UserError for a concept that the tool cannot use."""
        if not self.knows(concept):
            made_for, have = family(concept), widths(concept)
            told = ", ".join(f"{width} for {encoder}" for encoder, width in have.items())
            model = made_for.title if made_for else str(concept.provenance.get("backbone", "another model"))
            *most, last = dict.fromkeys(each.title for each in self.families or ())
            known = f"{', '.join(most)} and {last}"
            raise UserError(
                f"{self.title} takes embeddings of {known}, but the concept {concept.name} is of {model} (numbers a "
                f"vector: {told}); write it for {_any_of(concept)}"
            )
        counts = {encoder: sum(concept.sizes(encoder)) for encoder in concept.encoders}
        if 0 in counts.values() or (self.pairs and len(set(counts.values())) > 1):
            told = ", ".join(f"{count} for {encoder}" for encoder, count in counts.items())
            need = "as many in each text encoder" if all(counts.values()) else "at least one in each text encoder"
            raise UserError(f"{self.title} cannot use {concept.name}: it has {told} vectors; there must be {need}")


def _any_of(concept: Concept) -> str:
    return " or ".join(name for name, tool in TOOLS.items() if tool.knows(concept))


# What A1111's and sd-scripts' prompts give a meaning of its own.
_NO_SYNTAX = re.compile(r"[^()\[\]{}<>:|\\/,]+")
_SAFETENSORS = {".safetensors": Form(_safetensors)}
_SD = (SD1, SD2, SD2_V, SDXL)

TOOLS = {
    "photowords": Tool(EXPORTS["photowords"], None, {".safetensors": Form(_ours)}, "", "{{{name}}}", keys={}),
    "diffusers": Tool(EXPORTS["diffusers"], (*_SD, FLUX), _SAFETENSORS, "<{lower}>", "<{lower}>", any_width=True),
    "a1111": Tool(
        EXPORTS["a1111"],
        _SD,
        {
            **_SAFETENSORS,
            ".pt": Form(_a1111, check_torch),
            ".png": Form(functools.partial(_card, format="PNG"), card.check),
            ".webp": Form(functools.partial(_card, format="WEBP"), card.check),
        },
        "emb_params",
        "{stem}",
        naming=Naming(
            _NO_SYNTAX,
            "its prompts give brackets, colons and commas a meaning of their own",
            "risky",
            "the embedding takes the place of this word in every prompt, where it stands for nothing else as well",
        ),
        pairs=True,
    ),
    "kohya": Tool(
        EXPORTS["kohya"],
        _SD,
        _SAFETENSORS,
        "emb_params",
        "{stem}",
        naming=Naming(
            re.compile(r"[^()\[\]{}<>:|\\/,\s]+"),
            "its prompts give white space, brackets, colons and commas a meaning of their own",
            "refused",
            "it takes no name that is a token of CLIP already, as most words are",
        ),
        pairs=True,
    ),
    "comfyui": Tool(
        EXPORTS["comfyui"],
        (*_SD, SD3, FLUX),
        _SAFETENSORS,
        "emb_params",
        "embedding:{stem}",
        naming=Naming(
            re.compile(r"[^()\[\]{}<>\\:,\s]+"),
            "in its prompts a name ends at white space, brackets, colons and commas",
        ),
    ),
    "invokeai": Tool(
        EXPORTS["invokeai"],
        _SD,
        _SAFETENSORS,
        "emb_params",
        "<{stem}>",
        naming=Naming(
            re.compile(r"[a-zA-Z0-9., _-]+"), "its prompts know names of plain letters, digits, '.,_-' and spaces"
        ),
        pairs=True,
    ),
    "onetrainer": Tool(
        EXPORTS["onetrainer"],
        (*_SD, SD3, FLUX),
        _SAFETENSORS,
        "emp_params",
        "<{name}>",
        keys={CLIP_L: CLIP_L, CLIP_G: CLIP_G, T5: "t5"},
    ),
    "original": Tool(EXPORTS["original"], (SD1, LDM), {".pt": Form(_original, check_torch)}, "*", "*"),
}
