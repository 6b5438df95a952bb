"""Sentences from captions, and concepts inside prompts.

A prompt becomes a list of pieces: plain text, or a word of a concept. ``{mug}`` is the whole concept;
``{mug:checkered=striped}`` is the concept with the plain word "striped" in the place of the learned word that
started from "checkered"; ``{mug:<2>=striped}`` names that word by its place, for sentences that have it twice.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping

from photowords.concept import Concept, WordRef
from photowords.errors import UserError
from photowords.naming import AROUND, EDGES, key, runs

Piece = str | WordRef
"""Plain text, or a word of a concept."""

_OPENING = re.compile(
    r"^(?:(?:this|that|there|it) is |(?:these|those|there) are |araf+(?:i?ed|y) |"  # "arafed" is BLIP's own word
    r"(?:(?:an?|the) (?:(?:black and white|close ?-? ?up|[\w-]+) )?)?"
    r"(?:photo|photograph|picture|image|drawing|sketch|close ?-? ?up)s? of(?: |$))+",
    re.IGNORECASE,
)
_ARTICLE = re.compile(r"^(?:a|an|the)(?:\s+|$)", re.IGNORECASE)
_FIELD = re.compile(r"\{([^{}]*)\}")


def sentence(caption: str, keep_article: bool = False) -> str:
    """The sentence of a caption: without "a photo of", closing punctuation, and a leading article unless it is kept.

    The templates bring their own article ("a photo of a {}"), so the sentence would bring another.
    Raises UserError when nothing is left but an article.
    """
    opened = _OPENING.sub("", typed(caption, keep_article=True)).strip()
    if not typed(opened):
        raise UserError(f"{caption!r} holds no word to learn; give the words yourself as `words`")
    return opened if keep_article else typed(opened)


def typed(text: str, keep_article: bool = False) -> str:
    """The sentence that a user typed: as a caption's, but nothing of it is an opening. "" where no word is left."""
    said = " ".join(text.replace("\x00", " ").split()).strip(AROUND)
    return said if keep_article else _ARTICLE.sub("", said)


def in_template(template: str, concept: Concept) -> list[Piece]:
    """A template with a whole concept in its place."""
    before, after = template.split("{}")
    pieces: list[Piece] = [before, *concept.refs, after]
    return [piece for piece in pieces if piece != ""]


def find_words(concept: Concept, phrase: str) -> range:
    """The run of words that started from a word or phrase, or the word of a name such as "<2>".

    Raises UserError when there is none, or more than one.
    """
    if phrase.strip() in concept.names:
        place = concept.names.index(phrase.strip())
        return range(place, place + 1)
    found = runs(concept.texts, phrase)
    if len(found) > 1:
        raise UserError(
            f"concept {concept.name} has {phrase.strip()!r} {len(found)} times; say which of them is to be swapped by "
            f"its place: {' or '.join(concept.names[span.start] for span in found)}"
        )
    if found:
        return found[0]
    if not any(concept.texts):
        raise UserError(f"the file of concept {concept.name} does not say its words, so none can be swapped")
    raise UserError(f"concept {concept.name} has no word {phrase!r}; its words are {', '.join(concept.texts)}")


def parse(prompt: str, concepts: Mapping[str, Concept]) -> list[Piece]:
    """A prompt as pieces.

    Raises UserError for a concept that was not given, a swap that is not "old=new", a word that the
    concept does not have or that is swapped twice, and a lone brace.
    """
    pieces: list[Piece] = []
    end = 0
    for field in _FIELD.finditer(prompt):
        pieces.append(_plain(prompt[end : field.start()], prompt))
        end = field.end()
        name, _, swaps = field[1].partition(":")
        if name.strip() not in concepts:
            known = ", ".join("{" + known + "}" for known in concepts) or "none was given"
            raise UserError(f"the prompt names the concept {{{name}}}, which is not among those given ({known})")
        concept = concepts[name.strip()]
        own: list[Piece] = [*concept.refs]
        swapped: set[int] = set()
        for swap in filter(None, (part.strip() for part in swaps.split(","))):
            old, equals, new = swap.partition("=")
            if not equals or not old.strip():
                raise UserError(f"the swap {swap!r} is not understood; write {{{name}:old word=new word}}")
            if "=" in new:
                raise UserError(f"the swap {swap!r} has two '='; write several as {{{name}:old=new,other=new}}")
            place = find_words(concept, old)
            if swapped & {*place}:
                raise UserError(f"{old.strip()!r} of {{{name}}} is swapped twice; swap each word once")
            swapped |= {*place}
            own[place.start : place.stop] = [_marked(new, concept, place)] + [""] * (len(place) - 1)
        pieces.extend(_spaced([piece for piece in own if piece != ""]))
    pieces.append(_plain(prompt[end:], prompt))
    return [piece for piece in _joined(pieces) if not isinstance(piece, str) or piece.strip()]


def words_in(text: str) -> list[str]:
    """The distinct words of a text, lower-cased, in order; a pictograph is one too."""
    found = re.findall(r"\w+|[^\w\s]", text.lower())
    return list(dict.fromkeys(word for word in found if re.match(r"\w", word) or unicodedata.category(word) == "So"))


def named(prompt: str) -> set[str]:
    """The concepts that a prompt names."""
    return {field[1].partition(":")[0].strip() for field in _FIELD.finditer(prompt)}


def _marked(new: str, concept: Concept, place: range) -> str:
    """A swap's new words with the outer punctuation of those in whose place they stand; nothing has none."""
    if not new.strip():
        return ""
    first, last = concept.texts[place.start], concept.texts[place.stop - 1]
    before = first[: len(first) - len(first.lstrip(EDGES))] if key(first) else ""
    after = last[len(last.rstrip(EDGES)) :] if key(last) else ""
    return f"{before}{new.strip()}{after}"


def _spaced(words: list[Piece]) -> Iterator[Piece]:
    """A concept's words with white space between those that are text and the others."""
    for place, word in enumerate(words):
        if not isinstance(word, str):
            yield word
            continue
        followed = place + 1 < len(words) and not isinstance(words[place + 1], str)
        yield f"{' ' if place else ''}{word}{' ' if followed else ''}"


def _joined(pieces: Iterable[Piece]) -> list[Piece]:
    """Neighbouring texts as one: tokenizers may read a comma after a word otherwise than a comma by itself."""
    found: list[Piece] = []
    for piece in pieces:
        before = found[-1] if found else None
        if isinstance(piece, str) and isinstance(before, str):
            apart = before[-1:].isalnum() and piece[:1].isalnum()
            found[-1] = f"{before}{' ' if apart else ''}{piece}"
        elif piece != "":
            found.append(piece)
    return found


def _plain(text: str, prompt: str) -> str:
    if "{" in text or "}" in text:
        raise UserError(f"the prompt {prompt!r} has a lone brace; write a concept as {{name}}")
    return text  # its white space too: some tokenizers tell "mug," from "mug ,"
