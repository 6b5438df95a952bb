"""photowords mask: see what a click selects, before anything is learned from it."""

from __future__ import annotations

import argparse
import shlex
from typing import Any

from photowords.cli.options import a_path, add_device, add_json, check_target, say
from photowords.cli.selection import add_selection, selected
from photowords.errors import UserError


def add(commands: Any) -> None:
    command = commands.add_parser(
        "mask",
        help="click on the object and see what was selected",
        description="Turn clicks on a photo into the mask of an object. Writes FILE (white on black) and, beside it, "
        "FILE's name with -overlay: the mask drawn over the photo. Look at it; where it is wrong, click again.",
    )
    command.add_argument("photo", type=a_path, metavar="PHOTO", help="an image file")
    command.add_argument("--out", type=a_path, required=True, metavar="FILE", help="mask to write, a PNG")
    add_selection(command)
    add_device(command)
    add_json(command)
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> dict[str, Any]:
    from photowords import images, segmentation

    overlay = args.out.parent / f"{args.out.stem}-overlay.png"
    sources = (args.photo, *(args.mask or ()))
    check_target(args.out, sources, ".png", lambda _: overlay.is_file())  # earlier ones lie side by side
    check_target(overlay, sources, ".png", lambda _: args.out.is_file())
    photo = images.load_photo(args.photo)
    chosen = selected(args, [args.photo])
    if not chosen:
        raise UserError("nothing was selected; add --click X,Y on the object, or --box X0,Y0,X1,Y1 around it")
    mask, clicks = chosen[0].mask, chosen[0].clicks
    segmentation.save_mask(mask, args.out)
    images.save_png(segmentation.overlay(photo, mask, clicks), overlay)
    facts = chosen[0].provenance()
    say(
        args,
        f"object   {facts['share']:.1%} of the photo, in the box {','.join(map(str, segmentation.object_box(mask)))}",
    )
    say(args, f"mask     {args.out}")
    say(args, f"look at  {overlay}")
    files = (f"./{path}" if str(path).startswith("-") else str(path) for path in (args.photo, args.out))
    say(args, "next     photowords invert {} --mask {} --out RUN".format(*map(shlex.quote, files)))
    return {**facts, "mask": str(args.out), "overlay": str(overlay), "box": list(segmentation.object_box(mask))}
