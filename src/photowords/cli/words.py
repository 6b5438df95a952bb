"""Options that say where the words come from; caption and invert share them."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from photowords.cli.options import number
from photowords.errors import UserError

if TYPE_CHECKING:
    from PIL.Image import Image

    from photowords.initializers import Hint

CAPTIONED = ("caption", "multi-star", "shuffled", "random-words", "other-caption", "class-repeated")
"""Initializers that ask the captioner, if only for how many tokens there are."""
CLASSIFIED = ("class", "class-repeated")
INITS = ("caption", "class", "words", "star", *CAPTIONED[1:])
GOES_WITH = {
    "words": ("words",),
    "stars": ("multi-star",),
    "captioner": CAPTIONED,
    "candidates": CAPTIONED,
    "reranker": CAPTIONED,
    "refiner": CAPTIONED,
    "budget": CAPTIONED,
    "classifier": CLASSIFIED,
    "labels": CLASSIFIED,
    "other": ("other-caption",),
    "drop": ("caption", "class", "multi-star", "shuffled", "random-words", "class-repeated"),
}
"""Option -> the initializers that use it."""


def add_readers(command: argparse.ArgumentParser) -> None:
    """What reads the photo, and what is done to its words."""
    group = command.add_argument_group("reading the photo")
    group.add_argument(
        "--captioner", metavar="NAME", help="folder or hub name of a BLIP, BLIP-2, GIT, ViT+GPT-2 or Florence-2 model"
    )
    group.add_argument(
        "--candidates",
        type=number(int),
        metavar="N",
        help="ask for N captions and take the one most like the picture by CLIP (default: 1)",
    )
    group.add_argument(
        "--reranker", metavar="NAME", help="folder or hub name of the CLIP that chooses among --candidates"
    )
    group.add_argument("--classifier", metavar="NAME", help="folder or hub name of an image classifier")
    group.add_argument(
        "--labels",
        metavar="LIST",
        help="classify among two or more words by zero-shot CLIP: with commas between, or a text file, one a line",
    )
    group.add_argument(
        "--refiner", metavar="URL", help="chat endpoint (OpenAI's protocol) that shortens the caption; off by default"
    )
    group.add_argument("--refiner-model", metavar="NAME", help="the model that the endpoint is asked for")
    group.add_argument(
        "--refiner-instruction", metavar="TEXT", help="what it is told to do with the caption (default: shorten it)"
    )
    group.add_argument("--budget", type=number(int), metavar="N", help="tokens that a caption may have (default: 16)")
    group.add_argument("--drop", metavar="WORDS", help='words to leave out of the sentence: "toy,wooden"')
    group.add_argument(
        "--freeze", metavar="WORDS", help='words to keep as they are: "a,with", or stopwords for all the little ones'
    )


def check(args: argparse.Namespace, init: str) -> None:
    """Raise UserError for an option that this initializer would not look at."""
    for option, users in GOES_WITH.items():
        if getattr(args, option, None) is not None and init not in users:
            raise UserError(f"--{option} goes with --init {' or '.join(users)}, not with --init {init}")
    for option, needed in (
        ("refiner_model", "refiner"),
        ("refiner_instruction", "refiner"),
        ("refiner", "refiner_model"),
        ("reranker", "candidates"),
    ):
        if getattr(args, option) is not None and getattr(args, needed) is None:
            raise UserError(f"--{option.replace('_', '-')} needs --{needed.replace('_', '-')} beside it")
    if getattr(args, "stars", None) is not None:
        for option, users in GOES_WITH.items():
            if option != "stars" and init in users and getattr(args, option) is not None:
                raise UserError(f"--{option} is about the caption, which --stars does without; leave out one of both")


def hint(args: argparse.Namespace) -> Hint:
    """The words options as a Hint; its mask is the selection's."""
    from photowords.initializers import Hint, Refiner

    address = args.refiner
    refiner = None if address is None else Refiner(address, args.refiner_model, args.refiner_instruction)
    given = {
        "words": getattr(args, "words", None),
        "count": getattr(args, "stars", None),
        "captioner": args.captioner,
        "classifier": args.classifier,
        "candidates": args.candidates,
        "reranker": args.reranker,
        "labels": _labels(args.labels),
        "refiner": refiner,
        "budget": args.budget,
        "drop": _listed(args.drop),
        "freeze": _listed(args.freeze),
        "seed": getattr(args, "seed", None),
        "other": _photo(getattr(args, "other", None)),
    }
    return Hint(**{name: value for name, value in given.items() if value is not None})


def _listed(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(part.strip() for part in text.split(",") if part.strip())


def _labels(text: str | None) -> tuple[str, ...] | None:
    """A file's lines, or what stands between the commas."""
    if text is None:
        return None
    is_file = os.path.isfile(text)  # False also where Path.is_file raises: a list may be longer than a name can be
    try:
        lines = Path(text).read_text(encoding="utf-8-sig").replace("\n", ",") if is_file else text
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"the labels {text} cannot be read as UTF-8 text; give one label a line") from error
    labels = _listed(lines)
    if not labels or len(labels) < 2:
        count, missing = "one label" if labels else "no label", "" if is_file else ", and there is no such file"
        raise UserError(
            f"--labels {text!r} names {count}{missing}; separate at least two by commas, or give a file with one a line"
        )
    return labels


def _photo(path: Path | None) -> Image | None:
    from photowords import images

    return None if path is None else images.load_photo(path)
