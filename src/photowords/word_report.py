"""What became of each word of a finished run: where its vector went, and what it is worth."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from photowords import follow, formats, plots
from photowords.backbones import Backbone
from photowords.concept import Word
from photowords.errors import UserError
from photowords.inversion import Run
from photowords.metrics.losses import paired_difference

NEAREST = 3  # vocabulary words shown beside a token


@dataclass(frozen=True)
class WordRow:
    """One word after a run.

    Attributes:
        name: "<0>", "<1>", ...
        text: the word that it started from.
        trainable: False for a frozen one.
        cosine: between its vectors at the start and now, in [-1, 1], those of all tokens and text encoders joined.
        norm: now, against the start's: 1 is as long as before.
        nearest: for each of its tokens in the first text encoder, the vocabulary's words whose vectors are most alike
            now, with their cosines, best first.
        gradient_share: its part of the gradients' norms, summed over all steps, in [0, 1]; the shares sum to 1.
            None for a run that recorded none.
        put_back: the held-out loss with this one word's vectors put back to the plain word's.
        worth: ``put_back`` minus the learned concept's held-out loss: what learning this one word gained.
        standard_error: of ``worth``, paired over the held-out tuples; None where there is one tuple.
    """

    name: str
    text: str
    trainable: bool
    cosine: float
    norm: float
    nearest: tuple[tuple[tuple[str, float], ...], ...]
    gradient_share: float | None
    put_back: float
    worth: float
    standard_error: float | None


@dataclass(frozen=True)
class WordReport:
    """All words of a run; ``held_out`` maps "start" and "learned" to the losses they are compared with."""

    sentence: str
    step: int
    held_out: dict[str, float]
    words: tuple[WordRow, ...]
    how: str


def word_report(backbone: Backbone, run: Run) -> WordReport:
    """Measure every word of a run's concept.

    A word put back to its start is that word as plain text: the splice gives the text encoder the same input.
    Raises UserError when the run has not learned anything yet, or is another backbone's.
    """
    start = run.start()
    now = formats.read(run.concept_file) if run.concept_file.exists() else start
    step = int(now.provenance.get("step", 0))
    if step == 0:
        if follow.state(run.folder) in ("starting", "learning", "stopping"):
            raise UserError("the run is still at its first steps; ask again when it has learned something")
        raise UserError(f"{run.folder} holds no learned concept yet; `resume` it first")
    backbone.check(now)
    problem = run.problem(backbone)
    learned = problem.held_out(_vectors(now.words))
    shares = _gradient_shares(run, len(now))
    words = []
    for place, (name, word) in enumerate(zip(now.names, now.words, strict=True)):
        losses = problem.held_out(_vectors([*now.words[:place], start.words[place], *now.words[place + 1 :]]))
        worth, error = paired_difference(losses, learned)
        before, after = _joined(start.words[place]), _joined(word)
        words.append(
            WordRow(
                name=name,
                text=word.text,
                trainable=word.trainable,
                cosine=float(torch.cosine_similarity(before, after, dim=0).clamp(-1, 1)),
                norm=float(after.norm() / before.norm()),
                nearest=_nearest(backbone, word),
                gradient_share=None if shares is None else shares[place],
                put_back=float(losses.mean()),
                worth=worth,
                standard_error=error,
            )
        )
    first = problem.held_out(_vectors(start.words))
    how = (
        f"held-out loss over {len(learned)} fixed (timestep, noise, template) tuples; each word put back alone, the "
        "others as learned; errors are paired standard errors over the tuples"
    )
    return WordReport(
        now.sentence, step, {"start": float(first.mean()), "learned": float(learned.mean())}, tuple(words), how
    )


def _vectors(words: Sequence[Word]) -> dict[str, Tensor]:
    """The words' vectors one below the other for each text encoder, (rows, width)."""
    return {name: torch.cat([word.vectors[name] for word in words]) for name in words[0].vectors}


def _joined(word: Word) -> Tensor:
    """All vectors of a word as one, (numbers,)."""
    return torch.cat([table.flatten() for table in word.vectors.values()])


def _gradient_shares(run: Run, words: int) -> list[float] | None:
    norms = [row["gradient"] for row in run.losses() if "gradient" in row]
    if not norms:
        return None
    total = torch.tensor(norms).sum(0)
    shares: list[float] = (total / total.sum().clamp(min=1e-30)).tolist()
    assert len(shares) == words
    return shares


def _nearest(backbone: Backbone, word: Word) -> tuple[tuple[tuple[str, float], ...], ...]:
    encoder, vectors = next(iter(word.vectors.items()))
    vocabulary, table = backbone.vocabulary(encoder)
    unit = torch.nn.functional.normalize(table, dim=1)
    similar = torch.nn.functional.normalize(vectors, dim=1) @ unit.T
    best = similar.clamp(-1, 1).topk(min(NEAREST, len(vocabulary)))  # rounding goes beyond
    return tuple(
        tuple((vocabulary[i], value) for i, value in zip(indices, values, strict=True))
        for indices, values in zip(best.indices.tolist(), best.values.tolist(), strict=True)
    )


def plot(report: WordReport, path: Path) -> None:
    """Draw the words' worth, their turn (1 - cosine) and their shares of the gradient as bars, a PNG."""
    words = report.words
    labels = [f"{word.name} {word.text}" + ("" if word.trainable else " (frozen)") for word in words]
    places = range(len(words))
    panels: Sequence[tuple[str, list[float], list[float] | None]] = [
        ("held-out loss gained by learning it", [w.worth for w in words], [w.standard_error or 0.0 for w in words]),
        ("turned away from its word (1 - cosine)", [1 - w.cosine for w in words], None),
        ("share of the gradient", [w.gradient_share or 0.0 for w in words], None),
    ]
    with plots.canvas(plots.WHOLE, 0.9 + 0.25 * len(words)) as figure:
        rows = figure.subplots(1, 3, sharey=True)
        for axes, (title, values, errors), colour in zip(rows, panels, plots.COLOURS, strict=False):
            axes.barh(places, values, xerr=errors, color=colour, height=0.66, error_kw={"elinewidth": 1, "capsize": 2})
            axes.axvline(0, color="black", linewidth=0.8)
            axes.set_title(title, fontsize=7)
            axes.locator_params(axis="x", nbins=4)
            axes.spines["left"].set_visible(False)
            axes.tick_params(axis="y", length=0)
        rows[0].set_yticks(places, labels)
        rows[0].invert_yaxis()
        figure.suptitle(f"{report.sentence}  (step {report.step})")
    plots.write_png(figure, path)


def as_json(report: WordReport) -> dict[str, Any]:
    """The report as plain JSON values."""
    return dataclasses.asdict(report)
