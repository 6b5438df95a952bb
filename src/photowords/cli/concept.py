"""photowords concept: look into a learned concept, and take it to other tools."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import Any

from photowords.cli.options import a_path, add_device, add_json, check_target, say
from photowords.cli.reading import read, warn_of_plain
from photowords.settings import EXPORTS


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
    show.add_argument("concept", type=a_path, metavar="RUN_OR_FILE", help="run folder or embedding file of any tool")
    add_json(show)
    show.set_defaults(run=run_show)

    words = verbs.add_parser(
        "words",
        help="what became of each word of a run",
        description="For each placeholder of a finished run: its word, how far its vector moved, the vocabulary's "
        "nearest words now, its share of the gradient, and what learning it gained (the held-out loss with this one "
        "word put back to plain text). Prints a table and draws words.png in the run's folder.",
    )
    words.add_argument("concept", type=a_path, metavar="RUN", help="run folder")
    words.add_argument(
        "--out", type=a_path, metavar="FILE", help="the bar chart to write, a PNG (default: RUN/words.png)"
    )
    add_device(words)
    add_json(words)
    words.set_defaults(run=run_words)

    export = verbs.add_parser(
        "export",
        help="write it for another tool",
        description="Write a concept in the file format of another tool, and say what to type there. The sentence "
        "travels in the file, so that any of these files can be read back and its words swapped.",
    )
    export.add_argument("concept", type=a_path, metavar="RUN_OR_FILE", help="run folder or embedding file of any tool")
    export.add_argument("--to", required=True, choices=tuple(EXPORTS), help="the tool that will load it")
    export.add_argument(
        "--out",
        type=a_path,
        default=Path(),
        metavar="PATH",
        help="file to write, or the folder for it; in most tools a file's name is what one types "
        "(default: pw-NAME here; for a1111 also .pt, or .png and .webp for a picture that carries the embedding)",
    )
    export.add_argument(
        "--per-word", action="store_true", help="a file for each word that was learned, to be mixed in the other tool"
    )
    add_json(export)
    export.set_defaults(run=run_export)


def run_show(args: argparse.Namespace) -> dict[str, Any]:
    concept = read(args.concept)
    say(args, f"{{{concept.name}}}  {concept.sentence or '(the file does not say its words)'}")
    rows = []
    for name, word in zip(concept.names, concept.words, strict=True):
        norms = {encoder: [round(n, 4) for n in table.norm(dim=1).tolist()] for encoder, table in word.vectors.items()}
        state = "trainable" if word.trainable else "frozen"
        rows.append({"name": name, "text": word.text, "state": state, "norms": norms})
        told = "; ".join(f"{encoder} {' '.join(f'{n:.3f}' for n in own)}" for encoder, own in norms.items())
        say(args, f"  {name:5} {word.text or '?':16} {state:9} norms {told}")
    for key, value in concept.provenance.items():
        say(args, f"  {key}: {value}")
    return {
        "name": concept.name,
        "sentence": concept.sentence,
        "words": rows,
        "provenance": dict(concept.provenance),
    }


def run_words(args: argparse.Namespace) -> dict[str, Any]:
    from rich.console import Console
    from rich.table import Table

    from photowords import backbones, plots, word_report
    from photowords.inversion import Run

    run = Run.open(args.concept)
    usual = run.folder / "words.png"
    chart = args.out or usual
    # Older charts do not say who made them.
    check_target(
        chart, ending=".png", is_earlier=lambda there: there.resolve() == usual.resolve() or plots.is_ours(there)
    )
    backbone = backbones.load(str(run.about["model"]), args.device, str(run.about["dtype"]))
    report = word_report.word_report(backbone, run)
    say(args, f"{report.sentence}  (step {report.step})")
    losses = report.held_out
    say(args, f"held-out loss {losses['start']:.4f} as plain words, {losses['learned']:.4f} learned")
    table = Table("", "word", "cosine", "length", "nearest words now", "gradient", "put back", "gained by learning it")
    for word in report.words:
        error = "" if word.standard_error is None else f" ± {word.standard_error:.4f}"
        share = "" if word.gradient_share is None else f"{word.gradient_share:.0%}"
        table.add_row(
            word.name,
            word.text + ("" if word.trainable else " (frozen)"),
            f"{word.cosine:.3f}",
            f"x {word.norm:.2f}",
            "; ".join(", ".join(f"{near} {cosine:.2f}" for near, cosine in token) for token in word.nearest),
            share,
            f"{word.put_back:.4f}",
            f"{round(word.worth, 4) + 0.0:+.4f}{error}",  # no -0
        )
    if not args.json:
        width = None if sys.stdout.isatty() else 120
        Console(width=width, markup=False, emoji=False, highlight=False).print(table)
    say(args, f"how    {report.how}")
    word_report.plot(report, chart)
    say(args, f"chart  {chart}")
    return {**word_report.as_json(report), "chart": str(chart)}


def run_export(args: argparse.Namespace) -> dict[str, Any]:
    from photowords import formats

    whole = read(args.concept)
    warn_of_plain(args.concept, whole)
    path = formats.target(whole, args.out, args.to)
    sample = formats.sample_of(args.concept, whole)
    for file, part in formats.parts(whole, path, args.to, args.per_word):
        check_target(file, [args.concept], is_earlier=partial(formats.is_earlier, part))
    preview = formats.preview_of(path, args.to)
    if preview and sample and not args.per_word:
        check_target(preview, is_earlier=lambda _: path.exists())
    made = formats.export(whole, path, args.to, sample, args.per_word)
    written = []
    for file, concept, use in made.files:
        tokens = ", ".join(f"{count} for {encoder}" for encoder, count in use.tokens.items())
        say(args, f"{file}  ({concept.sentence or 'no sentence is known'}; tokens of a prompt: {tokens})")
        for step in use.steps:
            say(args, f"  {step}")
        written.append({"file": str(file), "phrase": use.phrase, "tokens": use.tokens, "steps": use.steps})
    say(args, f"prompt  {made.prompt}")
    result = {"tool": args.to, "files": written, "prompt": made.prompt}
    if made.preview is not None:
        say(args, f"preview {made.preview}")
        result["preview"] = str(made.preview)
    return result
