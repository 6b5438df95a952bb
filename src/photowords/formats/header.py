"""What travels in a file beside its vectors: the sentence and where it came from, and ModelSpec 1.0.1.

ModelSpec: https://github.com/Stability-AI/ModelSpec at fe8dc60.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from PIL import Image
from torch import Tensor

from photowords.concept import Concept
from photowords.errors import showable
from photowords.formats.families import family

OURS, OURS_BEFORE = "photowords/2", "photowords/1"
PREFIX = "photowords."
THUMBNAIL = 256  # pixels, as ModelSpec recommends
_DEEPEST = 32  # of nested JSON; ours has four


@dataclass(frozen=True)
class Told:
    """What a file of ours says: a name, each word's text, trainable flag and number of tokens, the provenance."""

    name: str
    words: list[tuple[str, bool, dict[str, int]]]
    provenance: dict[str, Any]


def say(concept: Concept) -> dict[str, str]:
    """The entries that tell a concept without its vectors."""
    words = [
        {"text": word.text, "trainable": word.trainable, "tokens": {e: word.tokens(e) for e in concept.encoders}}
        for word in concept.words
    ]
    provenance = json.dumps(dict(concept.provenance))
    return {"format": OURS, "name": concept.name, "words": json.dumps(words), "provenance": provenance}


def hear(metadata: Mapping[str, str]) -> Told | None:
    """What ``say`` said, in a file of ours or, its keys prefixed, in another tool's; None when it said nothing.

    Raises ValueError when it is damaged, and NotImplementedError, with its form, when it is of a newer one.
    """
    entries = {**metadata, **{k.removeprefix(PREFIX): v for k, v in metadata.items() if k.startswith(PREFIX)}}
    form = entries.get("format", "")
    if not isinstance(form, str) or not form.startswith("photowords/"):
        return None
    if form not in (OURS, OURS_BEFORE):
        raise NotImplementedError(_shown(form))
    try:
        provenance = dict(_shown(json.loads(entries["provenance"])))
        if form == OURS:
            notes = _shown(json.loads(entries["words"]))
        else:
            notes = _notes_before(_shown(json.loads(entries["placeholders"])), provenance)
        words = [
            (str(note["text"]), bool(note["trainable"]), {str(e): int(n) for e, n in note["tokens"].items()})
            for note in notes
        ]
        counts = [tokens for *_, tokens in words]
        if len({tuple(tokens) for tokens in counts}) > 1 or not all(
            min(tokens.values()) >= 0 and any(tokens.values()) for tokens in counts
        ):
            raise ValueError("words without a token, or not of the same text encoders")
        return Told(str(_shown(entries["name"])), words, provenance)
    except (KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise ValueError("damaged") from error


def _notes_before(placeholders: list[dict[str, Any]], provenance: dict[str, Any]) -> list[dict[str, Any]]:
    """The words of a file of version 1, which had one encoder and a placeholder a token; the provenance names each
    word with its first and last placeholder."""
    spans = provenance.pop("words", None) or [[p["word"], i, i] for i, p in enumerate(placeholders)]
    return [
        {"text": text, "trainable": placeholders[first]["learned"], "tokens": {"clip_l": last - first + 1}}
        for text, first, last in spans
    ]


def _shown(value: Any, depth: int = 0) -> Any:
    """A JSON value with what is no text in its strings replaced. Raises ValueError when it is nested too deep."""
    if depth > _DEEPEST:
        raise ValueError("nested too deep")
    if isinstance(value, str):
        return showable(value)
    if isinstance(value, list):
        return [_shown(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {_shown(key): _shown(item, depth + 1) for key, item in value.items()}
    return value


def modelspec(
    concept: Concept, tables: Mapping[str, Tensor], phrase: str, picture: Image.Image | None
) -> dict[str, str]:
    """ModelSpec's entries, without the date, which would change the bytes; {} for a model that it has no name for.

    ``phrase`` is what stands for the concept in the tool's prompts.
    """
    if (made_for := family(concept)) is None:
        return {}
    prediction = {"epsilon": "epsilon", "v_prediction": "v"}.get(str(concept.provenance.get("prediction_type")))
    side = concept.provenance.get("picture_size", made_for.resolution)
    # The tensors as they lie in the file: all float32, sorted by name.
    content = hashlib.sha256(b"".join(tables[key].numpy().tobytes() for key in sorted(tables)))
    entries = {
        "sai_model_spec": "1.0.1",
        "architecture": f"{made_for.architecture}/textual-inversion",
        "implementation": made_for.implementation,
        "title": concept.name,
        "resolution": f"{side}x{side}",
        "description": f"{showable(concept.sentence) or 'an embedding'}: learned word by word with photowords",
        "hash_sha256": f"0x{content.hexdigest()}",
        "usage_hint": concept.example(phrase),
        "trigger_phrase": phrase,
        "prediction_type": prediction,
        "is_negative_embedding": "false",
        "thumbnail": thumbnail(picture) if picture else None,
    }
    return {f"modelspec.{key}": value for key, value in entries.items() if value is not None}


def thumbnail(picture: Image.Image) -> str:
    """A picture as a JPEG of at most 256 pixels a side, as a data URI."""
    small = picture.convert("RGB")
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    buffer = io.BytesIO()
    small.save(buffer, format="JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
