"""The process that has the models: masks, sentences, pictures, word reports and exports, asked for over a pipe.

``worker`` starts it and asks: a line of JSON on stdin for each question, {"id": ..., "do": ..., and what it needs};
lines of JSON on stdout answer with the same id: {"event": ...} on the way, then {"done": ...} or {"error": ...}.
Clicks are answered beside whatever else is at work, one at a time each.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from photowords import fields, follow
from photowords.errors import PhotowordsWarning, UserError
from photowords.settings import GenerateSettings

if TYPE_CHECKING:
    from photowords.backbones import Backbone

AT_ONCE = 4  # pictures that are drawn together
Tell = Callable[[Mapping[str, Any]], None]


class Work:
    """What is asked for, each by the name of its method. Paths are the server's own."""

    def __init__(self, model: str, device: str, dtype: str, segmenter: str | None) -> None:
        self._model, self._device, self._dtype, self._source = model, device, dtype, segmenter
        self._selector: Any = None
        self._backbone: tuple[str, Backbone] | None = None

    def prepare(self, asked: Mapping[str, Any], tell: Tell) -> dict[str, Any]:
        """Be ready for clicks on a photo."""
        from photowords import backbones, images, segmentation

        if self._selector is None:
            self._selector = segmentation.Selector(self._source, str(backbones.choose_device(self._device)))
        self._selector.prepare(images.load_photo(asked["photo"]), asked["photo"])
        return {}

    def mask(self, asked: Mapping[str, Any], tell: Tell) -> dict[str, Any]:
        """The mask of clicks on a photo, as a picture that is white where the object is and transparent elsewhere."""
        from PIL import Image

        from photowords import images, segmentation

        photo = images.load_photo(asked["photo"])
        clicks = segmentation.Clicks.from_json(asked["clicks"])
        clicks.check(photo.size)
        self.prepare(asked, tell)
        selection = self._selector.select(photo, clicks, asked["photo"])
        white = Image.new("L", photo.size, 255)
        images.save_png(Image.merge("RGBA", (white, white, white, selection.mask)), Path(asked["out"]))
        return {
            "share": selection.provenance()["share"],
            "box": list(segmentation.object_box(selection.mask)),
            "selection": selection.as_json(),
        }

    def suits(self, asked: Mapping[str, Any], tell: Tell) -> dict[str, Any]:
        """Whether there is a model for photos, where none was named: refused as ``automatic.for_photos`` does."""
        from photowords.backbones import automatic

        seen = [self._seen(one) for one in asked["photos"]]
        automatic.for_photos([photo for photo, _ in seen], [mask for _, mask in seen])
        return {}

    def sentence(self, asked: Mapping[str, Any], tell: Tell) -> dict[str, Any]:
        """What the readers say of a photo, or of the object in it."""
        from photowords.describe import describe
        from photowords.starts import Class, make

        how = make(asked["kind"], asked["options"])
        photo, mask = self._seen(asked)
        found = describe(how, Class(), photo, self._of_photo(photo, mask), mask)
        words = [{"text": word.text, "trainable": word.trainable} for word in found.concept.words]
        confidence = found.confidence
        return {
            "sentence": found.concept.sentence,
            "words": words,
            "label": None if confidence is None else {"name": found.labelled.sentence, "confidence": confidence},
            "said": found.said,
            "candidates": found.candidates,
        }

    def pictures(self, asked: Mapping[str, Any], tell: Tell) -> dict[str, Any]:
        """Draw a prompt, a picture for each seed; each is told as soon as it is there."""
        from photowords import formats, images
        from photowords.backbones import automatic
        from photowords.generation import generate

        settings = fields.make(GenerateSettings, asked["settings"])
        concepts = [formats.read(Path(folder), name) for name, folder in asked["concepts"]]
        if concepts:
            folders = [Path(folder) for _, folder in asked["concepts"]]
            backbone = self._load(automatic.for_concepts(concepts, folders))
        else:
            backbone = self._of_photo(*self._seen(asked)) if asked["photo"] else self._load(self._model)
        out = Path(asked["out"])
        for first in range(0, len(asked["seeds"]), AT_ONCE):
            seeds = asked["seeds"][first : first + AT_ONCE]
            tell({"drawing": first})
            for seed, picture in zip(
                seeds, generate(backbone, asked["prompt"], concepts, seeds, settings), strict=True
            ):
                images.save_png(picture, out / f"{seed}.png")
        return {"model": backbone.name}

    def words(self, asked: Mapping[str, Any], tell: Tell) -> dict[str, Any]:
        """What became of each word of a run."""
        from photowords import word_report
        from photowords.inversion import Run

        run = Run.open(Path(asked["run"]))
        report = word_report.word_report(self._load(str(run.about["model"]), str(run.about["dtype"])), run)
        word_report.plot(report, run.folder / "words.png")
        return word_report.as_json(report)

    def export(self, asked: Mapping[str, Any], tell: Tell) -> dict[str, Any]:
        """A concept as another tool's file."""
        from photowords import formats

        run, out = Path(asked["run"]), Path(asked["out"])
        concept = formats.read(run)
        path = formats.target(concept, out, asked["tool"])
        made = formats.export(concept, path, asked["tool"], formats.sample_of(run, concept))
        ((_, _, use),) = made.files
        steps = [step.replace(f"{out}{os.sep}", "") for step in use.steps]
        return {"file": path.name, "steps": steps, "prompt": made.prompt}

    def tools(self, asked: Mapping[str, Any], tell: Tell) -> dict[str, Any]:
        """Which tools cannot take a run's concept, and why."""
        from photowords import formats

        concept, refused = formats.read(Path(asked["run"])), {}
        for name, tool in formats.TOOLS.items():
            try:
                tool.check(concept)
            except UserError as error:
                refused[name] = str(error)
        return {"refused": refused}

    def rest(self, asked: Mapping[str, Any], tell: Tell) -> dict[str, Any]:
        """Make room on the device for a run that begins to learn; the model comes back when it is asked for."""
        if self._backbone is not None and (kind := self._backbone[1].device.type) != "cpu":
            import torch

            self._backbone = None
            gc.collect()  # text encoders and their hooks know each other
            (torch.mps if kind == "mps" else torch.cuda).empty_cache()
        return {}

    def _seen(self, asked: Mapping[str, Any]) -> tuple[Any, Any]:
        """The photo that is asked about, and the mask of the object in it where it has one."""
        from photowords import images, segmentation

        photo = images.load_photo(asked["photo"])
        return photo, segmentation.load_mask(asked["mask"], photo.size) if asked["mask"] else None

    def _of_photo(self, photo: Any, mask: Any) -> Backbone:
        """The model that the server was started with, or the one that suits the photo."""
        from photowords.backbones import automatic

        return self._load(automatic.for_photos([photo], [mask]) if self._model == "auto" else self._model)

    def _load(self, model: str, dtype: str | None = None) -> Backbone:
        """A model, kept until another one is needed."""
        from photowords import backbones

        name, precision = backbones.POCKET if model == "auto" else model, dtype or self._dtype
        resolved = backbones.choose_dtype(backbones.choose_device(self._device), precision)
        kept = self._backbone
        # A run tells by which source it was made, which for a folder is not as it was typed.
        if kept is None or name not in (kept[0], kept[1].source) or kept[1].dtype != resolved:
            kept = self._backbone = None  # two at once may not fit
            kept = self._backbone = name, backbones.load(name, self._device, precision)
        return kept[1]


CLICKS = ("prepare", "mask", "suits")
"""What is answered beside what takes long."""
METHODS = (*CLICKS, "sentence", "pictures", "words", "tools", "export", "rest")


def main() -> None:
    """Answer until stdin ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which closes stdin
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what libraries print is no answer
    work = Work(**json.loads(sys.stdin.readline()))
    writing = threading.Lock()
    lanes = {True: ThreadPoolExecutor(1), False: ThreadPoolExecutor(1)}
    warnings.simplefilter("always", PhotowordsWarning)
    for line in sys.stdin:
        asked = json.loads(line)
        lanes[asked["do"] in CLICKS].submit(_answer, work, asked, answers, writing)
    os._exit(0)  # the server has gone; what is half done is for nobody


def _answer(work: Work, asked: Mapping[str, Any], answers: IO[str], writing: threading.Lock) -> None:
    def tell(what: Mapping[str, Any]) -> None:
        with writing:
            answers.write(json.dumps({"id": asked["id"], **what}) + "\n")
            answers.flush()

    try:
        if asked["do"] not in METHODS:
            raise UserError(f"nothing is known as {asked['do']!r}")
        method = getattr(work, asked["do"])
        if asked["do"] in CLICKS:  # which warn of nothing; Python's record of warnings is for one thread
            tell({"done": method(asked, lambda event: tell({"event": event}))})
            return
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", PhotowordsWarning)
            done = method(asked, lambda event: tell({"event": event}))
        said = [str(one.message) for one in caught if issubclass(one.category, PhotowordsWarning)]
        tell({"done": {**done, "warnings": list(dict.fromkeys(said))}})
    except UserError as error:
        tell({"error": str(error)})
    except Exception as error:  # one question that fails is no reason to end
        traceback.print_exc()
        tell({"error": follow.sentence(error)})


if __name__ == "__main__":
    main()
