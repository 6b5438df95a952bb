"""photowords generate: new pictures of a learned concept."""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import warnings
from pathlib import Path
from typing import Any

from photowords.cli.options import a_path, add_fields, add_json, add_model, add_offload, check_target, given, say
from photowords.cli.reading import model_of, read, warn_of_plain
from photowords.errors import PhotowordsWarning, UserError
from photowords.fields import fields
from photowords.settings import NAME, GenerateSettings, parse_seeds


def add(commands: Any) -> None:
    command = commands.add_parser(
        "generate",
        help="draw learned concepts in new pictures",
        description="Draw pictures from a prompt that names concepts in braces. A word can be swapped: "
        '"{mug:checkered=striped}" is the learned mug with the plain word "striped" where "checkered" was.',
    )
    command.add_argument("prompt", nargs="?", help='such as "a photo of {mug} on the beach"')
    command.add_argument(
        "--concept",
        nargs="+",
        action="extend",
        default=[],
        metavar="RUN_OR_FILE",
        help="run folder or embedding file; NAME=FILE gives it another name",
    )
    command.add_argument("--out", type=a_path, required=True, metavar="DIR", help="folder for the pictures")
    command.add_argument("--seeds", default="0", help="one picture each: 0-3 or 0,5,7 (default: 0)")
    add_fields(command, fields(GenerateSettings).values())
    add_model(command)
    add_offload(command)
    add_json(command)
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> dict[str, Any]:
    prompt, told = _prompt_and_concepts(args.prompt, args.concept)
    sources = [_source(text) for text in told]
    seeds = parse_seeds(args.seeds)
    settings = GenerateSettings(**given(args, fields(GenerateSettings)))
    check_target(args.out)
    from photowords import backbones, files, images
    from photowords.concept import embeddings
    from photowords.generation import generate
    from photowords.prompts import parse

    read_from = [path for _, path in sources]
    concepts = [read(path, name) for name, path in sources]
    for concept, path in zip(concepts, read_from, strict=True):
        warn_of_plain(path, concept)
    embeddings(concepts)  # before the model is loaded
    parse(prompt, {concept.name: concept for concept in concepts})
    files.make_folder(args.out)
    backbone = backbones.load(model_of(args, concepts, read_from), args.device, args.dtype, args.offload)
    settings = backbone.settle(settings)
    # The digest keeps other prompts, concepts, precisions and settings from overwriting these pictures.
    vectors = [concept.vectors(encoder).numpy().tobytes() for concept in concepts for encoder in concept.encoders]
    names = [concept.name for concept in concepts]
    made_of = repr((prompt, names, backbone.source, backbone.dtype, settings)).encode() + b"".join(vectors)
    digest = hashlib.sha256(made_of).hexdigest()[:6]
    stem = f"{re.sub(r'[^A-Za-z0-9]+', '-', prompt).strip('-')[:60] or 'picture'}_{digest}"
    paths: list[str] = []
    for first in range(0, len(seeds), settings.batch):  # each is kept as soon as it is there
        some = seeds[first : first + settings.batch]
        with warnings.catch_warnings():
            if first:  # they have been said
                warnings.simplefilter("ignore", PhotowordsWarning)
            pictures = generate(backbone, prompt, concepts, some, settings)
        for seed, picture in zip(some, pictures, strict=True):
            path = args.out / f"{stem}_seed-{seed}.png"
            images.save_png(picture, path)
            paths.append(str(path))
            say(args, str(path))
    return {"prompt": prompt, "seeds": seeds, "images": paths, "model": backbone.name, "settings": vars(settings)}


def _prompt_and_concepts(prompt: str | None, values: list[str]) -> tuple[str, list[str]]:
    """``--concept RUN "a photo of {mug}"``: the option takes every word after it, so the prompt is picked out again."""
    if prompt is not None:
        return prompt, values
    for text in reversed(values):  # a long one is no path: os.path says so, where Path would raise
        if ("{" in text or " " in text) and not os.path.exists(text):
            return text, [value for value in values if value is not text]
    raise UserError('no prompt was given; write one such as "a photo of {mug} on the beach"')


def _source(text: str) -> tuple[str | None, Path]:
    """The name and the file of "FILE" or "NAME=FILE"; what is there under the whole text is a file."""
    name, equals, path = text.partition("=")
    if not equals or os.path.exists(text):
        return None, Path(text)
    if not path:
        raise UserError(f"--concept {text} names no file; write NAME=FILE")
    if not NAME.fullmatch(name):
        raise UserError(
            f"--concept {text} gives the name {name!r}, which no prompt can hold; "
            "use letters, digits, '-' and '_', beginning with a letter"
        )
    return name, Path(path)
