"""What to do with a file once it is written: where it goes, and what to type."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

from photowords.concept import Concept
from photowords.formats.families import CLIP_G, CLIP_L, SD2, SD2_V, T5, family
from photowords.formats.tools import TOOLS


@dataclass(frozen=True)
class Use:
    """How a written file is used.

    Attributes:
        steps: what to do, a line each.
        phrase: what stands for the concept in prompts.
        prompt: a prompt as it is to be typed.
        tokens: text encoder -> tokens that the phrase takes of a prompt.
    """

    steps: list[str]
    phrase: str
    prompt: str
    tokens: dict[str, int]


def use(concept: Concept, path: Path | str, tool: str, together: Sequence[Path] = ()) -> Use:
    """How a concept that ``write`` wrote to ``path`` is used in the tool; ``together`` are all files of a prompt that
    names several, this one among them."""
    path = Path(path)
    phrase = TOOLS[tool].phrase_for(concept, path)
    tokens = {encoder: sum(concept.sizes(encoder)) for encoder in concept.encoders}
    steps = _kohya(concept, path, together or [path]) if tool == "kohya" else _STEPS[tool](concept, path)
    return Use(steps, phrase, concept.example(phrase), tokens)


def _diffusers(concept: Concept, path: Path) -> list[str]:
    token = f'token="{TOOLS["diffusers"].phrase_for(concept, path)}"'
    if len(concept.encoders) == 1:
        return [f"pipe.load_textual_inversion({json.dumps(str(path))}, {token})"]
    # A file of several tables is refused there, and so is a path with a text encoder: each table goes in by itself.
    parts = {
        CLIP_L: ("text_encoder", "tokenizer"),
        CLIP_G: ("text_encoder_2", "tokenizer_2"),
        T5: ("text_encoder_2", "tokenizer_2"),
    }
    calls = [
        f'pipe.load_textual_inversion(tables["{encoder}"], {token}, text_encoder=pipe.{model}, tokenizer=pipe.{reader})'
        for encoder, (model, reader) in parts.items()
        if encoder in concept.encoders
    ]
    model, reader = parts[CLIP_G if CLIP_G in concept.encoders else CLIP_L]
    return [
        "import safetensors.torch",
        f"tables = safetensors.torch.load_file({json.dumps(str(path))})",
        *calls,
        # Published configurations name another end of a prompt, and CLIP then takes the token of the highest number for
        # it, which a new one has; in transformers 4 the model is one level deeper.
        f'getattr(pipe.{model}, "text_model", pipe.{model}).eos_token_id = pipe.{reader}.eos_token_id',
    ]


def _kohya(concept: Concept, path: Path, together: Sequence[Path]) -> list[str]:
    known, file = family(concept), quote(str(path))
    files = " ".join(quote(str(one)) for one in together)  # given twice, the option takes the last
    xl, vectors = ("--sdxl ", "sdxl_") if CLIP_G in concept.encoders else ("", ""), sum(concept.sizes(CLIP_L))
    second = "--v2 --v_parameterization " if known is SD2_V else "--v2 " if known is SD2 else ""
    return [
        f"to draw: gen_img.py {xl[0]}{second}--textual_inversion_embeddings {files}",
        f"to train on: {xl[1]}train_textual_inversion.py {second}--weights {file} --num_vectors_per_token {vectors} "
        f"--token_string {quote(path.stem)}",
    ]


def _original(concept: Concept, path: Path) -> list[str]:
    vectors = max(sum(concept.sizes(encoder)) for encoder in concept.encoders)
    script = "scripts/stable_txt2img.py" if CLIP_L in concept.encoders else "scripts/txt2img.py"
    return [
        f"set num_vectors_per_token: {vectors} in the config's personalization_config",
        f"{script} --embedding_path {quote(str(path))}",
    ]


def _onetrainer(concept: Concept, path: Path) -> list[str]:
    return [f"give {path} as the base embedding, and <{concept.name}> as its placeholder"]


_STEPS: dict[str, Callable[[Concept, Path], list[str]]] = {
    "photowords": lambda concept, path: [
        f'photowords generate --concept {quote(str(path))} "{concept.example(f"{{{concept.name}}}")}" --out pictures'
    ],
    "diffusers": _diffusers,
    "a1111": lambda concept, path: ["put it into the folder embeddings"],
    "comfyui": lambda concept, path: ["put it into the folder models/embeddings"],
    "invokeai": lambda concept, path: ["add it in the model manager"],
    "onetrainer": _onetrainer,
    "original": _original,
}
