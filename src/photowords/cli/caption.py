"""photowords caption: what the readers say of a photo, or of the object clicked in it."""

from __future__ import annotations

import argparse
from typing import Any

from photowords.cli.options import a_path, add_json, add_model, add_offload, say
from photowords.cli.reading import model_for
from photowords.cli.selection import add_selection, selected
from photowords.cli.words import add_starts, chosen
from photowords.fields import fields
from photowords.starts import Caption, Class


def add(commands: Any) -> None:
    command = commands.add_parser(
        "caption",
        help="say what a photo shows, as the words an inversion would start from",
        description="Run the captioner and the classifier on a photo, or on the object that is clicked in it, and show "
        "the sentence that invert would start from, token by token, without training anything.",
    )
    command.add_argument("photo", type=a_path, metavar="PHOTO", help="an image file")
    add_selection(command)
    add_starts(command, (Caption, Class))
    add_model(command)
    add_offload(command)
    add_json(command)
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> dict[str, Any]:
    from photowords import backbones, images
    from photowords.describe import describe

    caption = chosen(args, "caption", fields(Caption))
    # Words to drop or freeze are the caption's.
    label = chosen(args, "class", set(fields(Class)) - {"drop", "freeze"})
    photo = images.load_photo(args.photo)
    selection = selected(args, [args.photo])
    mask = selection[0].mask if selection else None
    backbone = backbones.load(model_for(args, [photo], [mask]), args.device, args.dtype, args.offload)
    found = describe(caption, label, photo, backbone, mask)
    said, classified, confidence = found.concept, found.labelled, found.confidence
    if selection:
        say(args, f"object    {selection[0].provenance()['share']:.1%} of the photo (see: photowords mask)")
    say(args, f"caption   {found.said}")
    for candidate, score in found.candidates:
        say(args, f"          {score:.3f} {candidate}  (CLIP's cosine with the photo)")
    for old, new in said.provenance.get("replaced", ()):
        say(args, f"noise     {old} is replaced by {new}")
    say(args, f"sentence  {said.sentence}")
    words = zip(said.names, said.words, strict=True)
    say(args, "words     " + " ".join(f"{name}={w.text}{'' if w.trainable else '(frozen)'}" for name, w in words))
    sure = "" if confidence is None else f" (the classifier's confidence {confidence:.0%})"
    say(args, f"class     {classified.sentence}{sure}")
    return {
        "caption": found.said,
        "sentence": said.sentence,
        "words": [
            {
                "text": word.text,
                "trainable": word.trainable,
                "tokens": {name: word.tokens(name) for name in word.vectors},
            }
            for word in said.words
        ],
        "class": classified.sentence,
        "class_confidence": confidence,
        "provenance": {**classified.provenance, **said.provenance},
    }
