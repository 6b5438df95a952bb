"""--model auto: the pocket for pictures of its own world, for real photos the best real model that is here."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Sequence
from pathlib import Path

from PIL.Image import Image

from photowords import follow
from photowords.backbones import ALIASES, POCKET, UNWANTED, load
from photowords.backbones.familiar import is_familiar
from photowords.concept import Concept
from photowords.errors import UserError


def for_photos(photos: Sequence[Image], masks: Sequence[Image | None] = (), names: Sequence[str] = ()) -> str:
    """The pocket when all photos look like its world; else the first of ``ALIASES`` that is in the local cache.

    ``masks`` as for an inversion; ``names`` of the photos, for what is said of one. Raises UserError, saying what to
    do, when a real photo has no real model.
    """
    pocket, seen = load(POCKET, "cpu"), zip(photos, masks or [None] * len(photos), strict=True)
    strange = next((number for number, one in enumerate(seen, 1) if not is_familiar(pocket, *one)), None)
    if strange is None:
        return POCKET
    if cached := [alias for alias, model in ALIASES.items() if alias != POCKET and is_cached(model.source)]:
        return cached[0]
    which = names[strange - 1] if names else "this" if len(photos) == 1 else f"photo {strange} of {len(photos)}"
    small = ALIASES["sd15"]
    raise UserError(
        f"{which} is no picture of the small world that the bundled pocket model knows, and no other model is in the "
        f"local cache; name one as `model` (sd15: {small.about}, is downloaded), or go on regardless with `model` "
        "pocket"
    )


def for_concepts(concepts: Sequence[Concept], sources: Sequence[Path]) -> str:
    """The model that concepts were made for: what their runs name, or what they say themselves; else the pocket.

    ``sources``: the run folders or files that they were read from.
    """
    for concept, path in zip(concepts, sources, strict=True):
        with contextlib.suppress(OSError, ValueError, LookupError, TypeError):  # no run's folder, or a damaged one
            return str(json.loads((path / follow.SETTINGS).read_text())["about"]["model"])
        made_for = str(concept.provenance.get("backbone", ""))
        if made_for in ALIASES or made_for.count("/") == 1:
            return made_for
    return POCKET


def is_cached(repository: str) -> bool:
    """Whether a hub model is in the local cache as a whole: each part that has a configuration has its weights."""
    from huggingface_hub import try_to_load_from_cache

    index = try_to_load_from_cache(repository, "model_index.json")
    if not isinstance(index, str):
        return False
    folder = Path(index).parent
    parts = [name for name, kind in json.loads(Path(index).read_text()).items() if isinstance(kind, list) and kind[0]]
    configs = [folder / part / "config.json" for part in parts]
    models = [path.parent for path in configs if path.exists() and not _is_unwanted(path)]
    return bool(models) and all(map(_has_weights, models))


def _has_weights(part: Path) -> bool:
    """Whether the weights that ``load`` looks for are there: in one file, or all the pieces that an index names."""
    found = [path.name for path in part.iterdir() if not _is_unwanted(path)]
    whole = [name for name in found if name.endswith((".safetensors", ".bin")) and not re.search(r"-\d+-of-\d+", name)]
    indices = [json.loads((part / name).read_text()) for name in found if name.endswith(".index.json")]
    pieces = [{*index.get("weight_map", {}).values()} for index in indices]
    return bool(whole) or any(named and named <= {*found} for named in pieces)


def _is_unwanted(path: Path) -> bool:
    return any(map(path.match, UNWANTED))
