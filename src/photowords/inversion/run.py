"""The folder that one inversion leaves, written so that a kill at any moment leaves a run that can go on.

settings.json          what was asked for
photos/0.png ...       the pictures, as they were read
masks/0.png ...        white where the object is, for the photos that have a mask
overlay.png            the masks over their photos, to look at
start.safetensors      the concept at step 0
checkpoints/           vectors and optimiser, every ``evaluate_every`` steps
losses.jsonl           a line for each step, as it is taken
seconds.json           what it has taken so far, by phase
samples/               pictures before and after
concept.safetensors    the concept: the last good one
loss.png, result.json  the curves, and the summary of a finished run

How a run is followed and stopped from outside: ``photowords.follow``.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from PIL.Image import Image
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from photowords import files, follow, formats, images, jobs
from photowords.backbones import Backbone
from photowords.concept import Concept
from photowords.errors import UserError
from photowords.inversion import copies
from photowords.inversion.problem import Problem
from photowords.inversion.step import Step
from photowords.settings import InvertSettings

FORMAT = 8
"""Of a run folder. Older ones can be read, but not gone on with: their draws, rate, average or square were others."""


class Run:
    """One inversion's folder. Use ``Run.create`` or ``Run.open``."""

    def __init__(
        self, folder: Path, settings: InvertSettings, about: Mapping[str, Any], lines: list[str], format: int = FORMAT
    ) -> None:
        self.folder, self.format = folder, format
        self.settings = settings
        self.about = dict(about)
        self._lines = lines

    @classmethod
    def create(
        cls,
        folder: Path | str,
        settings: InvertSettings,
        about: Mapping[str, Any],
        photos: Sequence[Image],
        start: Concept,
        masks: Sequence[Image | None] = (),
        overlay: Image | None = None,
        job: bool = False,
    ) -> Run:
        """A new run; ``job`` says that a job waits in the folder, which becomes the run. Raises UserError when the
        folder holds something else already, or cannot be written."""
        folder = Path(folder)
        jobs.check_free(folder, job)
        run = cls(folder, settings, about, [])
        # Under another name until it is whole, so that a kill never leaves a folder that is neither free nor a run. The
        # folder of a job is known by its job.json, so it is filled where it is; what makes it a run comes last.
        place: Any = nullcontext(folder) if job else files.atomic_folder(folder)
        with place as temporary:
            for part in ("photos", "masks", "checkpoints", "samples"):
                files.make_folder(temporary / part)
            run.about |= copies.keep(temporary, photos, masks)
            if overlay is not None:
                images.save_png(overlay, temporary / "overlay.png")
            formats.write(start, temporary / follow.START, "photowords")
            run.save_settings(temporary)
        return run

    @classmethod
    def open(cls, folder: Path | str) -> Run:
        """An existing run. Raises UserError when the folder is not one."""
        folder = Path(folder)
        try:
            record = json.loads((folder / follow.SETTINGS).read_text())
            settings, about = InvertSettings.from_json(record["settings"]), dict(record["about"])
            format = int(record.get("format", 1))
            about["model"]
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:  # of another shape
            raise UserError(f"{folder} is not a run of photowords: it has no readable settings.json") from error
        lines = [line for line in follow.whole_lines(folder / follow.LOSSES) if follow.as_row(line)]
        return cls(folder, settings, about, lines, format)

    def reread(self) -> None:
        """Be what the folder holds now: another process may have worked on it since this was opened."""
        vars(self).update(vars(Run.open(self.folder)))

    def save_settings(self, folder: Path | None = None) -> None:
        """Write settings.json."""
        record = {"format": self.format, "settings": dataclasses.asdict(self.settings), "about": self.about}
        files.write_json((folder or self.folder) / follow.SETTINGS, record)

    def result(self) -> dict[str, Any]:
        """The summary of a finished run. Raises UserError for another."""
        try:
            found: dict[str, Any] = json.loads((self.folder / follow.RESULT).read_text())
        except (OSError, ValueError) as error:
            raise UserError(f"{self.folder} has not come to its end; `resume` it") from error
        return found

    def is_of(self, model: str) -> bool:
        """Whether this is its model, as it is asked for: a folder's may be any of its paths, and auto takes what is."""
        return model in ("auto", self.about["model"]) or str(Path(model).resolve()) == self.about["model"]

    @property
    def concept_file(self) -> Path:
        return self.folder / follow.CONCEPT

    def photos(self) -> list[Image]:
        """The run's own copies of its photos, in order. Raises UserError where one is gone or another one."""
        return copies.photos(self.folder, self.about)

    def masks(self) -> list[Image | None]:
        """The mask of each photo, mode "L"; None for a photo without. Raises UserError where one is gone or another."""
        return copies.masks(self.folder, self.about, self.start().provenance.get("masks"))

    def problem(self, backbone: Backbone) -> Problem:
        """What this run minimises: its sentence on its photos, masks and settings."""
        return Problem(backbone, self.start(), self.photos(), self.masks(), self.settings)

    def start(self) -> Concept:
        """The concept at step 0."""
        return formats.read(self.folder / follow.START)

    def extend(self, steps: int) -> None:
        """Aim at so many steps, as if the run had been made for them from the beginning."""
        settings = dataclasses.replace(self.settings, steps=steps)
        start = self.start()
        told = dataclasses.replace(start, provenance={**start.provenance, "settings": dataclasses.asdict(settings)})
        formats.write(told, self.folder / follow.START, "photowords")
        for row in self.losses():  # a loss that was measured only because the run ended there
            if "held_out" in row and not settings.is_evaluated(row["step"]):
                (self.folder / "checkpoints" / f"{row['step']:06d}.safetensors").unlink(missing_ok=True)
        if self.about.get("samples_at") != "checkpoints" or not settings.is_evaluated(self.settings.steps):
            self.samples(self.settings.steps).unlink(missing_ok=True)  # drawn for the same reason
        self.settings = settings
        self.save_settings()

    def samples(self, step: int) -> Path:
        """Where the pictures of a step lie, if any were drawn."""
        return self.folder / "samples" / f"step_{step:06d}.png"

    def last_step(self) -> Step | None:
        """The newest whole checkpoint, to resume from; None when there is none. Later loss lines are dropped.

        Where a run was stopped nothing is measured. So a run that is to end just there goes on from the checkpoint
        before, to the same bits.
        """
        ends = self.settings.steps
        measured = {row["step"] for row in self.losses() if "held_out" in row}
        whole = (path for path in (self.folder / "checkpoints").glob("*.safetensors") if path.stem.isdigit())
        for path in sorted(whole, key=lambda path: int(path.stem), reverse=True):
            try:
                with safe_open(path, "pt") as file:
                    step = json.loads(file.metadata()["step"])
                    tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            except (SafetensorError, OSError, KeyError, TypeError, ValueError):
                continue
            index, sample_steps = step["index"], step["sample_steps"]
            if index == ends and index not in measured:
                continue
            self._lines = [line for line in self._lines if json.loads(line)["step"] <= index]
            vectors = {key.removeprefix("vectors."): v for key, v in tensors.items() if key.startswith("vectors.")}
            state = {key.removeprefix("state."): v for key, v in tensors.items() if key.startswith("state.")}
            concept = self.start().with_vectors(vectors, step=index)
            return Step(index, None, None, concept, None, sample_steps, state)
        self._lines = []
        return None

    def record(self, step: Step) -> None:
        """Note a step; at every evaluation the checkpoint and the concept reach the disk as well."""
        line: dict[str, Any] = {"step": step.index, "loss": step.loss, "sample_steps": step.sample_steps}
        if step.held_out is not None:
            line["held_out"] = step.held_out.mean().item()
            each = [float(f"{value:.9g}") for value in step.held_out.tolist()]
            if step.index == 0:
                line["held_out_each"] = each
            elif first := self._held_out_at_start():
                gained = torch.tensor(first, dtype=torch.float64) - torch.tensor(each, dtype=torch.float64)
                line["error"] = float(f"{gained.std().item() / len(each) ** 0.5:.4g}")
        if step.gradient is not None:
            line["gradient"] = [float(f"{norm:.4g}") for norm in step.gradient.tolist()]
        self._lines.append(json.dumps(line))
        if step.held_out is not None:
            self.keep(step)
        else:
            files.append(self.folder / follow.LOSSES, self._lines[-1])

    def _held_out_at_start(self) -> list[float] | None:
        """The held-out losses of step 0, those of more than one tuple, to which later ones are compared one by one."""
        each: list[float] = json.loads(self._lines[0]).get("held_out_each", []) if self._lines else []
        return each if len(each) > 1 else None

    def save_losses(self) -> None:
        """Write losses.jsonl as it is known here."""
        files.write_text(self.folder / follow.LOSSES, "".join(f"{line}\n" for line in self._lines))

    def keep(self, step: Step) -> None:
        """Write the losses, the concept and, last, the checkpoint of a step: it vouches for the others."""
        self.save_losses()
        formats.write(step.concept, self.concept_file, "photowords")
        tensors = {f"state.{key}": value.cpu().clone() for key, value in step.state.items()}
        tensors |= {f"vectors.{encoder}": step.concept.vectors(encoder) for encoder in step.concept.encoders}
        # One entry: safetensors writes several in no fixed order.
        metadata = {"step": json.dumps({"index": step.index, "sample_steps": step.sample_steps})}
        with files.atomic(self.folder / "checkpoints" / f"{step.index:06d}.safetensors") as path:
            save_file(tensors, path, metadata)

    def losses(self) -> list[dict[str, Any]]:
        """The recorded steps: step, loss, sample_steps, gradient (a norm for each word), and where they were evaluated
        held_out and error, the paired standard error of its difference from step 0's."""
        return [json.loads(line) for line in self._lines]
