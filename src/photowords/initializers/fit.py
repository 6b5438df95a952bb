"""From what a model said of a photo to a sentence that suits a backbone."""

from __future__ import annotations

import unicodedata
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

from photowords.backbones import Backbone
from photowords.errors import PhotowordsWarning, UserError
from photowords.naming import key
from photowords.prompts import sentence
from photowords.starts import Budgeted, Dropping
from photowords.templates import PROPERTIES, templates

STOPWORDS = {
    *("a", "an", "the", "this", "that", "its", "his", "her", "their", "it", "and", "or", "of", "with", "without", "on"),
    *("in", "at", "to", "by", "for", "from", "as", "into", "is", "are"),
}
"""The little words: what ``freeze`` calls "stopwords", and what a fitted sentence never ends with."""

_OPENERS = {"a", "an", "the", "and", "or"}  # what a sentence never begins with: the template brings the article
_JOINTS = {"a", "an", "the", "and", "or", ""}  # what may stand between a phrase and its repeat; "" is bare punctuation


@dataclass(frozen=True)
class Fitted:
    """A sentence that fits, and what was changed for it.

    Attributes:
        text: the sentence, single spaces between its words.
        notes: what was changed, one clause each; openings and dangling little words go unsaid.
    """

    text: str
    notes: tuple[str, ...] = ()


def fit(text: str, backbone: Backbone, budget: int, drop: Sequence[str] = (), keep_article: bool = False) -> Fitted:
    """The sentence of what a captioner or classifier said; the sentence of a sentence is itself.

    Without odd characters (control characters, emoji, symbols, quotes, what has no width; letters of any script stay),
    "a photo of" and a leading article (unless ``keep_article``), immediate repeats of words and phrases (captioners
    loop), the words to ``drop``, what goes over the ``budget`` or ``room`` in tokens, and little words left dangling at
    the end.
    Warns when the words of a repeat or beyond the budget are lost. For what a model said only: the user's own words
    and the controls are taken as they are.

    Raises UserError when nothing is left, and for words to drop that are not there.
    """
    notes, lost = [], []
    said = _plain_characters(text)
    if said != " ".join(text.split()):
        notes.append("odd characters left out or replaced")
    words = _without_repeats(said.split())
    if len(words) < len(said.split()):
        lost.append("repeated words left out")
    words = _trimmed(words, text, keep_article)
    if drop:
        words = _trimmed(drop_words(words, drop), text, keep_article)
        notes.append("dropped " + ", ".join(drop))
    limit = min(budget, room(backbone))
    if count_tokens(" ".join(words), backbone) > limit:
        words = _trimmed(_cut(words, backbone, limit), text, keep_article)
        lost.append(f"cut at {limit} tokens")
    fitted = " ".join(words)
    if lost:
        warnings.warn(
            f"the caption {text!r} was cut to {fitted!r}: {', '.join(lost)}; give the words yourself as `words`",
            PhotowordsWarning,
            stacklevel=2,
        )
    return Fitted(fitted, (*notes, *lost))


def fit_as(how: Budgeted, text: str, backbone: Backbone) -> Fitted:
    """``fit`` with a start's own budget, words to drop and choice of the article."""
    return fit(text, backbone, how.budget, how.drop if isinstance(how, Dropping) else (), how.keep_article)


def drop_words(words: Sequence[str], drop: Sequence[str]) -> list[str]:
    """The words without those to ``drop``, words or phrases, wherever they stand.

    Raises UserError when one is not there, and when nothing would be left.
    """
    gone: set[int] = set()
    for phrase in drop:
        if not (places := find_phrase(phrase, words)):
            raise UserError(f"there is no {phrase!r} to drop; the sentence's words are {', '.join(words)}")
        gone |= set(places)
    kept = [word for place, word in enumerate(words) if place not in gone]
    if not kept:
        raise UserError(f"every word of {' '.join(words)!r} is dropped; leave at least one to learn")
    return kept


def count_tokens(text: str, backbone: Backbone) -> int:
    """How many tokens a text has, in the text encoder that needs most."""
    return max(len(encoder.ids(text)) for encoder in backbone.text_encoders.values())


def room(backbone: Backbone) -> int:
    """Tokens that a sentence may have, in any text encoder: the context without begin, end and longest template."""
    around = [template.format("") for learned in PROPERTIES for template in templates(learned)]
    return min(
        encoder.context - encoder.special - max(len(encoder.ids(template)) for template in around)
        for encoder in backbone.text_encoders.values()
    )


def check_room(text: str, backbone: Backbone) -> None:
    """Raise UserError when a sentence leaves no room for the templates."""
    if (tokens := count_tokens(text, backbone)) > (most := room(backbone)):
        raise UserError(
            f"the sentence {text!r} has {tokens} tokens, but {backbone.name}'s text encoder has room for "
            f"{most} beside the templates; shorten it"
        )


def _plain_characters(text: str) -> str:
    """Text in Unicode's form NFKC without control characters, symbols, quotes and what has no width; single spaces."""
    kept = []
    for letter in unicodedata.normalize("NFKC", text):
        category = unicodedata.category(letter)
        if category in ("Cf", "Me") or "\ufe00" <= letter <= "\ufe0f":  # no width: joiners, variation selectors
            continue
        kept.append(" " if category[0] in "CSZ" or letter in '_"„“”' else letter)
    # Once more, for a letter and its accent that something without width stood between.
    return " ".join(unicodedata.normalize("NFKC", "".join(kept)).split())


def _without_repeats(words: Sequence[str]) -> list[str]:
    """Each phrase once where it is said again at once, or after an "and" or article: shortest phrases first."""
    kept = list(words)
    for length in range(1, len(kept) // 2 + 1):
        first, looping = 0, False
        while (end := first + length) < len(kept):
            keys = [key(word) for word in kept]
            for again in (end, end + 1, end + 2):
                repeat = keys[again : again + length]
                # A loop stops when the captioner must: its last round may be cut off.
                long_enough = len(repeat) == length or (looping and repeat)
                # "a dog and a dog toy" names two things, "a dog and a dog" one.
                between, after = keys[end:again], keys[again + length : again + length + 1]
                whole = not between or looping or STOPWORDS.union(_JOINTS, keys[first:end]).issuperset(after)
                same = repeat == keys[first:end][: len(repeat)] and _JOINTS.issuperset(between)
                if long_enough and whole and same:
                    del kept[end : again + length]
                    looping = True
                    break
            else:
                first, looping = first + 1, False
    # What was left out may have kept two others apart.
    return kept if len(kept) == len(words) else _without_repeats(kept)


def _trimmed(words: Sequence[str], said: str, keep_article: bool = False) -> list[str]:
    """Words without opening and dangling little words. Raises UserError, naming what was said, when none are left."""
    kept, before, article = list(words), None, ""
    while kept and kept != before:  # under one opening may lie another: "there is a photo of a cat"
        before, kept = kept, sentence(" ".join(kept), keep_article=True).split()
        article = article if kept == before else ""  # which stood before the opening
        while kept and key(kept[-1]) in STOPWORDS | {""}:
            kept.pop()
        while kept and key(kept[0]) in _OPENERS | {""}:
            first = kept.pop(0)
            article = first if key(first) in ("a", "an", "the") else ""
    if not kept:
        raise UserError(f"{said!r} holds no word to learn; give the words yourself as `words`")
    return [article, *kept] if keep_article and article else kept


def _cut(words: Sequence[str], backbone: Backbone, limit: int) -> list[str]:
    """The first words, at most ``limit`` tokens; the first letters of a first word that is too long by itself."""
    kept = list(words)
    while len(kept) > 1 and count_tokens(" ".join(kept), backbone) > limit:
        kept.pop()
    while kept[0] and count_tokens(" ".join(kept), backbone) > limit:  # scripts without spaces are one long word
        kept[0] = kept[0][:-1]
    return kept


def find_phrase(phrase: str, words: Sequence[str]) -> list[int]:
    """Places of a word or phrase, wherever it stands; none where it does not."""
    wanted, keys = [key(word) for word in phrase.split()], [key(word) for word in words]
    starts = [i for i in range(len(keys)) if wanted and keys[i : i + len(wanted)] == wanted]
    return [i + k for i in starts for k in range(len(wanted))]
