"""photowords convert: a checkpoint of A1111, ComfyUI or kohya becomes a folder that --model takes."""

from __future__ import annotations

import argparse
import shlex
from typing import Any

from photowords.cli.options import a_name, a_path, add_json, say


def add(commands: Any) -> None:
    command = commands.add_parser(
        "convert",
        help="make a model folder from a checkpoint file",
        description="Make a model folder, which --model takes, from a checkpoint in one file, as A1111, ComfyUI and "
        "kohya keep them. What the file has not, configurations and the tokenizer, is taken from the model that it was "
        "trained from, and fetched without weights if need be.",
    )
    command.add_argument("file", type=a_path, metavar="FILE", help="a .safetensors or .ckpt file with a whole model")
    command.add_argument("--out", type=a_path, required=True, metavar="DIR", help="folder to write")
    command.add_argument(
        "--like",
        type=a_name,
        metavar="MODEL",
        help="a model of the same architecture: short name, folder or hub name (default: sd15 or sdxl, by the weights)",
    )
    add_json(command)
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> dict[str, Any]:
    from photowords import backbones
    from photowords.backbones import single_file

    like = single_file.to_folder(args.file, args.out, args.like)
    means_another = str(args.out).startswith("-") or str(args.out) in {*backbones.ALIASES, "auto"}
    shown = shlex.quote(f"./{args.out}" if means_another else str(args.out))
    say(args, f"wrote    {args.out}, configured as {like} is")
    say(args, f"next     photowords invert PHOTO --out RUN --model {shown}")
    return {"model": str(args.out), "like": like}
