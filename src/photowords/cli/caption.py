"""photowords caption: what the readers say of a photo."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from photowords.cli.options import add_json, add_model, say


def add(commands: Any) -> None:
    command = commands.add_parser(
        "caption",
        help="say what a photo shows, as the words an inversion would start from",
        description="Run the captioner and the classifier on a photo and show the sentence that invert would start "
        "from, token by token, without training anything.",
    )
    command.add_argument("photo", type=Path, metavar="PHOTO", help="an image file")
    command.add_argument("--captioner", metavar="NAME", help="transformers folder or hub name of a BLIP-type captioner")
    command.add_argument("--classifier", metavar="NAME", help="transformers folder or hub name of an image classifier")
    add_model(command)
    add_json(command)
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> dict[str, Any]:
    from photowords import backbones, images
    from photowords.initializers import Hint, start

    photo = images.load_photo(args.photo)
    backbone = backbones.load(args.model or "pocket", args.device, args.dtype)
    hint = Hint(captioner=args.captioner, classifier=args.classifier)
    said = start("caption", [photo], backbone, hint)
    classified = start("class", [photo], backbone, hint)
    confidence = classified.provenance["class_confidence"]
    say(args, f"caption   {said.provenance['caption']}")
    say(args, f"sentence  {said.sentence}")
    say(args, "tokens    " + " ".join(f"{name}={word}" for name, word in zip(said.names(), said.words, strict=True)))
    say(args, f"class     {classified.sentence} ({confidence:.0%})")
    return {
        "caption": said.provenance["caption"],
        "sentence": said.sentence,
        "tokens": list(said.words),
        "class": classified.sentence,
        "class_confidence": confidence,
    }
