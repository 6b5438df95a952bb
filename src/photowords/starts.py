"""Where an inversion's words come from: one frozen, checked class for each start, its options with it.

What a start does stands in ``initializers``; nothing here loads a model, so that the command line answers at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from PIL.Image import Image

from photowords import fields
from photowords.errors import UserError
from photowords.fields import option


@dataclass(frozen=True, kw_only=True)
class Start:
    """One way to find the words, known as ``init`` everywhere; the classes below are all there are."""

    init: ClassVar[str]

    def __post_init__(self) -> None:
        fields.check(self)

    def readers(self) -> dict[str, tuple[str, str | None]]:
        """The networks it asks: option -> (role in ``Backbone.readers``, folder or hub name or None for that one)."""
        return {}


@dataclass(frozen=True, kw_only=True)
class Sentence(Start):
    """What may begin with an article."""

    keep_article: bool = option(False, 'keep a leading "a" or "the", which the templates bring as well')


@dataclass(frozen=True, kw_only=True)
class Budgeted(Sentence):
    """What a model says, cut to a length (``initializers.fit``)."""

    budget: int = option(16, "tokens that the sentence may have", least=1, metavar="N")


@dataclass(frozen=True, kw_only=True)
class Captioned(Budgeted):
    """What asks the captioner, if only for how many tokens there are."""

    captioner: str | None = option(
        None, "BLIP, BLIP-2, GIT, ViT+GPT-2 or Florence-2: folder or hub name", metavar="NAME"
    )
    # Each is a beam of its own, so that the most of them bounds the memory.
    candidates: int = option(1, "captions to ask for, of which CLIP chooses one", least=1, most=50, metavar="N")
    reranker: str | None = option(None, "folder or hub name of the CLIP that chooses among candidates", metavar="NAME")
    refiner: str | None = option(
        None,
        "chat endpoint (OpenAI's protocol) that shortens the caption; its key, if it asks for one, stands in the "
        "environment as PHOTOWORDS_REFINER_KEY",
        metavar="URL",
    )
    refiner_model: str | None = option(None, "the model that the endpoint is asked for", metavar="NAME")
    refiner_instruction: str | None = option(None, "what it is told to do", unset="shorten the caption", metavar="TEXT")
    caption_noise: float = option(
        0.0,
        "probability of each content word of the caption to be replaced by one near it in the model's vocabulary: an "
        "imperfect captioner, for studies",
        least=0,
        most=1,
        metavar="RATE",
    )
    wrong_words: int = option(
        0, "replace just so many content words instead, or all where there are fewer", least=0, metavar="N"
    )
    seed: int = option(
        0,
        "of random choices: sampled candidates, noise, the controls' order and words",
        least=0,
        most=2**64 - 1,
        metavar="N",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.reranker is not None and self.candidates == 1:
            raise UserError("`reranker` chooses among candidates; add `candidates` of 2 or more")
        if self.caption_noise and self.wrong_words:
            raise UserError("`caption_noise` and `wrong_words` both say how many words are replaced; leave out one")
        for name, needed in (
            ("refiner", "refiner_model"),
            ("refiner_model", "refiner"),
            ("refiner_instruction", "refiner"),
        ):
            if getattr(self, name) is not None and getattr(self, needed) is None:
                raise UserError(f"`{name}` needs `{needed}` beside it")

    def readers(self) -> dict[str, tuple[str, str | None]]:
        ranked = {"reranker": ("clip", self.reranker)} if self.candidates > 1 else {}
        return {**super().readers(), "captioner": ("captioner", self.captioner), **ranked}


@dataclass(frozen=True, kw_only=True)
class Classified(Budgeted):
    """What asks the classifier."""

    classifier: str | None = option(
        None, "folder or hub name of an image classifier, or of a CLIP where there are labels", metavar="NAME"
    )
    labels: tuple[str, ...] = option(
        (),
        "classify among two or more words by zero-shot CLIP: a list, or a text file, one a line",
        metavar="LIST",
        file=True,
    )
    class_name: str | None = option(None, "the class itself, in place of the classifier's answer", metavar="WORDS")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.labels and len({label.strip() for label in self.labels if label.strip()}) < 2:
            raise UserError(
                f"`labels` names no two words to choose from: {', '.join(self.labels)!r}; give two or more, or a text "
                "file that exists, one a line"
            )
        if self.class_name is not None:
            if not self.class_name.strip():
                raise UserError("`class_name` holds no word; write one, such as mug")
            for name in ("classifier", "labels"):
                if getattr(self, name) != fields.fields(Classified)[name].default:
                    raise UserError(f"`{name}` asks for the class, which `class_name` says already; leave out one")

    def readers(self) -> dict[str, tuple[str, str | None]]:
        asked = {"classifier": ("clip" if self.labels else "classifier", self.classifier)}
        return {**super().readers(), **({} if self.class_name else asked)}


@dataclass(frozen=True, kw_only=True)
class Dropping(Start):
    """What can leave words out."""

    drop: tuple[str, ...] = option((), "words or phrases to leave out of the sentence", metavar="WORDS")


@dataclass(frozen=True, kw_only=True)
class Worded(Start):
    """What has words, which can be kept as they are."""

    freeze: tuple[str, ...] = option(
        (), "words to keep in but not to learn; stopwords stands for all the little ones", metavar="WORDS"
    )


@dataclass(frozen=True, kw_only=True)
class Counted(Captioned, Dropping):
    """So many vectors without words, or as many as the caption has tokens."""

    num_vectors: int | None = option(
        None,
        "how many '*' or random vectors",
        least=1,
        most=10_000,
        unset="as many as the caption has tokens",
        metavar="N",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        asked = [name for name in fields.given(self) if name not in ("num_vectors", "seed")]
        if self.num_vectors is not None and asked:
            raise UserError(f"`{asked[0]}` is about the caption, which `num_vectors` does without; leave out one")

    def readers(self) -> dict[str, tuple[str, str | None]]:
        return {} if self.num_vectors is not None else super().readers()


@dataclass(frozen=True, kw_only=True)
class Caption(Captioned, Dropping, Worded):
    """What the captioner says of the photo."""

    init: ClassVar[str] = "caption"


@dataclass(frozen=True, kw_only=True)
class Class(Classified, Dropping, Worded):
    """What the classifier calls it."""

    init: ClassVar[str] = "class"


@dataclass(frozen=True)
class Words(Sentence, Dropping, Worded):
    """Your own words."""

    init: ClassVar[str] = "words"

    words: str = option("", 'your own words for it, such as "red tea kettle"', metavar="TEXT")


@dataclass(frozen=True, kw_only=True)
class Star(Start):
    """One '*': textual inversion's start without words."""

    init: ClassVar[str] = "star"


@dataclass(frozen=True, kw_only=True)
class MultiStar(Counted):
    """A control: as many '*' as the caption has tokens, so as many vectors and no words."""

    init: ClassVar[str] = "multi-star"


@dataclass(frozen=True, kw_only=True)
class RandomVectors(Counted):
    """As many random vectors as the caption has tokens, at the vocabulary's scale."""

    init: ClassVar[str] = "random"


@dataclass(frozen=True, kw_only=True)
class Shuffled(Captioned, Dropping, Worded):
    """A control: the caption's words in another order."""

    init: ClassVar[str] = "shuffled"


@dataclass(frozen=True, kw_only=True)
class RandomWords(Captioned, Dropping, Worded):
    """A control: as many other words as the caption has tokens."""

    init: ClassVar[str] = "random-words"


@dataclass(frozen=True, kw_only=True)
class OtherCaption(Captioned, Worded):
    """A control: the caption of another picture."""

    init: ClassVar[str] = "other-caption"

    other: Image | None = option(None, "the other picture", unset="a drawing that ships", metavar="PHOTO")


@dataclass(frozen=True, kw_only=True)
class ClassRepeated(Captioned, Classified, Dropping, Worded):
    """A control: the class again and again, to as many tokens as the caption has."""

    init: ClassVar[str] = "class-repeated"


STARTS: dict[str, type[Start]] = {
    start.init: start
    for start in (
        *(Caption, Class, Words, Star),
        *(MultiStar, RandomVectors, Shuffled, RandomWords, OtherCaption, ClassRepeated),
    )
}
"""init -> its class."""


def of(init: str) -> type[Start]:
    """The class of a start. Raises UserError, which names all of them, for another name."""
    if init not in STARTS:
        raise UserError(f"there is no `init` {init!r}; choose from {', '.join(STARTS)}")
    return STARTS[init]


def make(init: str, told: Mapping[str, Any], seed: int = 0) -> Start:
    """A start of what a user told of it, plain values by the names of the fields; ``seed`` for those that draw.

    Raises UserError for an unknown start, for an option that it would not look at, and as its own checks do.
    """
    start = of(init)
    for name in told:
        users = [other for other, cls in STARTS.items() if name in fields.fields(cls)]
        if users and init not in users:
            raise UserError(f"`{name}` goes with `init` {' or '.join(users)}, not with `init` {init}")
    drawing = {"seed": seed} if "seed" in fields.fields(start) else {}
    return fields.make(start, {**drawing, **told}, "option")
