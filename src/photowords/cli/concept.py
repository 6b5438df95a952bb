"""photowords concept: look into a learned concept, and take it to other tools."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from photowords.cli.options import add_json, say
from photowords.errors import UserError

TOOLS = ("diffusers", "a1111", "kohya", "comfyui", "invokeai", "photowords")


def add(commands: Any) -> None:
    command = commands.add_parser(
        "concept",
        help="show a concept, or export it for other tools",
        description="Look into a learned concept, or write it as a file that another tool loads.",
    )
    verbs = command.add_subparsers(title="verbs", metavar="VERB", required=True)

    show = verbs.add_parser(
        "show",
        help="its words and where it came from",
        description="Show a concept's sentence, its placeholders and where it came from.",
    )
    show.add_argument("concept", type=Path, metavar="RUN_OR_FILE", help="run folder or embedding file of any tool")
    add_json(show)
    show.set_defaults(run=run_show)

    export = verbs.add_parser(
        "export",
        help="write it for another tool",
        description="Write a concept in the file format of another tool. Any of these files can be read back.",
    )
    export.add_argument("concept", type=Path, metavar="RUN_OR_FILE", help="run folder or embedding file of any tool")
    export.add_argument("--to", required=True, choices=TOOLS, help="the tool that will load it")
    export.add_argument("--out", type=Path, required=True, metavar="FILE", help="file to write")
    add_json(export)
    export.set_defaults(run=run_export)


def run_show(args: argparse.Namespace) -> dict[str, Any]:
    from photowords import formats

    concept = formats.read(args.concept)
    say(args, f"{{{concept.name}}}  {concept.sentence or '(the file does not say its words)'}")
    rows = []
    for name, placeholder in zip(concept.names(), concept.placeholders, strict=True):
        norms = {encoder: float(vector.norm()) for encoder, vector in placeholder.vectors.items()}
        state = "learned" if placeholder.learned else "frozen"
        rows.append({"name": name, "word": placeholder.word, "state": state, "norm": norms})
        lengths = ", ".join(f"{norm:.3f}" for norm in norms.values())
        say(
            args,
            f"  {name:5} {placeholder.word or '?':16} {state:8} norm {lengths}",
        )
    for key, value in concept.provenance.items():
        say(args, f"  {key}: {value}")
    return {
        "name": concept.name,
        "sentence": concept.sentence,
        "placeholders": rows,
        "provenance": dict(concept.provenance),
    }


def run_export(args: argparse.Namespace) -> dict[str, Any]:
    from photowords import formats

    concept = formats.read(args.concept)
    suffix = formats.suffix(concept, args.to)
    if args.out.suffix != suffix:  # some tools choose their loader by it
        raise UserError(f"{args.to} wants a file whose name ends in {suffix}, not {args.out.name!r}; rename --out")
    formats.write(concept, args.out, args.to)
    use = {
        "diffusers": f'pipe.load_textual_inversion("{args.out}"), then "<{concept.name}>" in the prompt',
        "kohya": f"--weights {args.out}, or put it in the embeddings folder",
        "invokeai": f"add it in the model manager, then <{args.out.stem}> in the prompt",
        "comfyui": f"put it in models/embeddings, then embedding:{args.out.stem} in the prompt",
        "a1111": f"put it in embeddings, then {args.out.stem} in the prompt",
        "photowords": f"--concept {args.out}",
    }[args.to]
    say(args, f"{args.out}  ({len(concept)} vectors)")
    say(args, f"use: {use}")
    return {"file": str(args.out), "format": args.to, "vectors": len(concept), "use": use}
