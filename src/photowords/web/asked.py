"""What a page asked for, checked: clicks, words, seeds and prompts. Raises Refused for what makes no sense."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from photowords.errors import showable
from photowords.naming import AROUND, SYNTAX, bare, called
from photowords.settings import check_name
from photowords.web.answers import Refused
from photowords.web.forms import LIMITS
from photowords.web.runs import Runs
from photowords.web.shown import Shown

FARTHEST = 1e6  # pixels that a click can be from a photo's corner


def listed(told: object, field: str, most: int) -> list[Any]:
    """A list of at most so many things."""
    if not isinstance(told, list) or len(told) > most:
        raise Refused(f"{field} must be a list of at most {most}", field=field)
    return told


def text(told: object, field: str, most: int) -> str:
    """A text without characters that cannot be shown, its spaces as they are."""
    if not isinstance(told, str) or len(told) > most:
        raise Refused(f"{field} must be a text of at most {most} characters", field=field)
    if showable(told) != told or "\n" in told or "\t" in told:
        raise Refused(f"{field} holds characters that cannot be typed in a sentence", field=field)
    return told


def whole(told: object, field: str, least: int, most: int) -> int:
    """A whole number."""
    if not isinstance(told, int) or isinstance(told, bool) or not least <= told <= most:
        raise Refused(f"{field} must be a whole number from {least} to {most:,}", field=field)
    return told


def name(told: object) -> str:
    """What prompts call a concept."""
    found = text(told, "name", LIMITS["text"]) or "concept"
    check_name(found)
    return found


def clicks(told: Mapping[str, Any]) -> dict[str, Any] | None:
    """Where the object is: points on it and beside it and a box, as ``Clicks`` has them; None where nothing says."""
    points = listed(told.get("clicks") or [], "clicks", LIMITS["clicks"])
    box = told.get("box")
    if not points and box is None:
        return None
    found: dict[bool, list[list[float]]] = {False: [], True: []}
    for point in points:
        if not isinstance(point, Mapping):
            raise Refused("a click is {x, y, not}", field="clicks")
        found[bool(point.get("not"))].append([_number(point.get("x"), "clicks"), _number(point.get("y"), "clicks")])
    if box is not None:
        if not isinstance(box, list) or len(box) != 4:
            raise Refused("the box is [left, top, right, bottom]", field="box")
        box = [_number(value, "box") for value in box]
    return {"on": found[False], "off": found[True], "box": box}


def _number(told: object, field: str) -> float:
    if not isinstance(told, int | float) or isinstance(told, bool) or not abs(told) < FARTHEST:  # nor NaN
        raise Refused(f"{field}: {str(told)[:40]} is not a number of pixels", field=field)
    return float(told)


def words(told: object) -> tuple[tuple[str, bool], ...]:
    """Each word's text and whether it is learned; what was typed as several words is several."""
    found = []
    for one in listed(told, "words", LIMITS["words"]):
        if not isinstance(one, Mapping):
            raise Refused("a word is {text, trainable}", field="words")
        parts = text(one.get("text"), "words", LIMITS["text"]).split()
        found += [(part, bool(one.get("trainable", True))) for part in parts if part.strip(AROUND)]
    if not found:
        raise Refused("there is no word to learn; write one", field="words")
    # As on the command line: what stands around the sentence is none of it, a comma inside is.
    found[0] = found[0][0].lstrip(AROUND), found[0][1]
    found[-1] = found[-1][0].rstrip(AROUND), found[-1][1]
    if any({"{", "}"} & {*text} for text, _ in found):
        raise Refused("braces name concepts in prompts; write the words alone", field="words")
    if not any(trainable for _, trainable in found):
        raise Refused("every word is kept as it is; leave at least one to learn", field="words")
    if len(found) > LIMITS["words"]:
        raise Refused(f"that is more than {LIMITS['words']} words", field="words")
    return tuple(found)


def seeds(told: object) -> list[int]:
    """One picture each."""
    found = [whole(seed, "seeds", 0, 2**32 - 1) for seed in listed(told, "seeds", LIMITS["seeds"])]
    if not found:
        raise Refused("there is no seed; write one, such as 0", field="seeds")
    return list(dict.fromkeys(found))


@dataclass(frozen=True)
class Prompt:
    """A prompt of the page.

    Attributes:
        typed: as the library and the command line take it: "a photo of {mug:checkered=striped}".
        readable: with the words in it.
        concepts: what prompts call each, and its run's folder.
    """

    typed: str
    readable: str
    concepts: Mapping[str, Path]


def prompt(told: object, runs: Runs) -> Prompt:
    """A prompt from its pieces: texts, and the words of runs, each as learned, plain or another."""
    typed, readable, names = "", "", dict[Path, str]()
    for piece in listed(told, "prompt", LIMITS["pieces"]):
        if isinstance(piece, str):
            plain = text(piece, "prompt", LIMITS["prompt"])
            if "{" in plain or "}" in plain:
                raise Refused("the prompt's own text has no braces here; a concept has its own place", field="prompt")
            typed, readable = typed + plain, _beside(readable, plain)
        elif isinstance(piece, Mapping):
            shown = Shown(runs.find(text(piece.get("run"), "prompt", LIMITS["text"])))
            called = names.setdefault(shown.folder, _unique(shown.name, names.values()))
            swaps, read = _swaps(piece, [word["text"] for word in shown.words])
            typed += f"{{{called}:{','.join(swaps)}}}" if swaps else f"{{{called}}}"
            readable = _beside(readable, " ".join(read))
        else:
            raise Refused("a piece of the prompt is a text or {run, words}", field="prompt")
        if len(readable) > LIMITS["prompt"]:
            raise Refused(f"the prompt is longer than {LIMITS['prompt']} characters", field="prompt")
    if not typed.strip():
        raise Refused("the prompt is empty; write what to draw", field="prompt")
    return Prompt(typed, " ".join(readable.split()), {called: folder for folder, called in names.items()})


def _beside(before: str, after: str) -> str:
    """Two texts as they are drawn: a word that follows on another is one of its own."""
    return f"{before} {after}" if before[-1:].isalnum() and after[:1].isalnum() else before + after


def _unique(name: str, taken: Any) -> str:
    """What a prompt calls a concept beside others: two runs may have given theirs the same name."""
    known, number, found = set(taken), 1, name
    while found in known:
        number += 1
        found = f"{name}-{number}"
    return found


def _swaps(piece: Mapping[str, Any], texts: Sequence[str]) -> tuple[list[str], list[str]]:
    """What is to stand for a concept's words, as a prompt's swaps, and the words as they are read."""
    uses = listed(piece.get("words"), "prompt", LIMITS["words"])
    if len(uses) != len(texts):
        raise Refused(f"that run has {len(texts)} words, not {len(uses)}", field="prompt")
    swaps, read = [], []
    for place, (use, own) in enumerate(zip(uses, texts, strict=True)):
        how = use.get("use") if isinstance(use, Mapping) else None
        if how == "learned":
            read.append(own)
            continue
        if how not in ("plain", "another"):
            raise Refused("a word of a run is used as learned, plain or another", field="prompt")
        plain = how == "plain"
        new = bare(own) or own if plain else " ".join(text(use.get("text"), "prompt", LIMITS["text"]).split())
        if not new:
            raise Refused(f"write the word that is to stand for {own}", field="prompt")
        if SYNTAX.search(new):
            advice = "leave it learned, or put another word in its place" if plain else "leave out { } = , < and >"
            raise Refused(f"{new!r} cannot stand in a prompt's swap; {advice}", field="prompt")
        swaps.append(f"{called(place, texts)}={new}")
        read.append(own if plain else new)
    return swaps, read
