"""Networks that read pictures are loaded once, from a folder or the hub's cache, and leave their device after work."""

from __future__ import annotations

import copy
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from photowords import clip, pocket, pretrained
from photowords.backbones import Backbone
from photowords.errors import UserError
from photowords.initializers.captioner import Captioner, caption
from photowords.initializers.classify import Classifier, classify
from photowords.starts import Caption, Class


def test_other_families_are_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "qwen2_5_vl"}')
    with pytest.raises(UserError, match=r"is a qwen2_5_vl model.*BLIP, BLIP-2, GIT, ViT\+GPT-2, Florence-2$"):
        Captioner(str(tmp_path))
    (tmp_path / "config.json").write_text('{"model_type": "florence2", "auto_map": {}}')
    with pytest.raises(UserError, match="florence-community/Florence-2-base"):
        Captioner(str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match=r"captioner .* cannot be loaded .*; give a transformers folder"):
        Captioner(str(tmp_path))
    (tmp_path / "config.json").write_text('{"hidden_size": 3}')
    with pytest.raises(UserError, match=r"does not say in its config\.json what model it is"):
        Captioner(str(tmp_path))


@pytest.mark.parametrize(
    ("load", "name", "field"),
    [
        (Captioner, "Salesforce/blip-image-captioning-base", "captioner"),
        (Classifier, "google/vit-base-patch16-224", "classifier"),
        (clip.Clip, "openai/clip-vit-base-patch32", "reranker"),
    ],
)
def test_what_cannot_be_had_says_what_to_download(
    load: Any, name: str, field: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(UserError, match="cannot be loaded") as caught:
        load(name)
    assert str(caught.value).endswith(
        f"; download {name} on a machine with a network (hf download {name} --local-dir FOLDER) "
        f"and give FOLDER as `{field}`"
    )
    with pytest.raises(UserError, match=f"hf download {name} --revision 1234abc --local-dir FOLDER"):
        load(f"{name}@1234abc")


def test_a_cached_reader_is_loaded_without_a_network_and_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hub's client tried six times for each of its files, which took minutes."""
    commit = "0123456789abcdef" * 2 + "01234567"
    cache = tmp_path / "models--org--name"
    shutil.copytree(pocket.CAPTIONER, cache / "snapshots" / commit)
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text(commit)
    asked: list[str] = []

    class Session:
        def __getattr__(self, method: str) -> Any:
            asked.append(method)
            raise ConnectionError("no network")

    waited: list[float] = []
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.get_session", Session)
    monkeypatch.setattr("huggingface_hub.utils._http.get_session", Session)
    monkeypatch.setattr("time.sleep", waited.append)
    pretrained._unreachable.cache_clear()
    assert Captioner("org/name").revision == Captioner(f"org/name@{commit}").revision == commit
    with pytest.raises(UserError, match="the captioner 'org/other' cannot be loaded"):
        Captioner("org/other")
    assert (asked, waited) == (["head"], [])
    pretrained._unreachable.cache_clear()


def test_a_name_can_be_pinned_to_a_revision(monkeypatch: pytest.MonkeyPatch) -> None:
    class Kind:
        @staticmethod
        def from_pretrained(source: str, **options: Any) -> Any:
            return source, options

    monkeypatch.setattr(pretrained, "unreachable", lambda: False)
    assert pretrained.pretrained(Kind, "org/name@v1", "captioner") == ("org/name", {"revision": "v1"})
    assert pretrained.pretrained(Kind, "org/name", "captioner", dtype=1) == ("org/name", {"dtype": 1})
    monkeypatch.setattr(pretrained, "unreachable", lambda: True)
    assert pretrained.pretrained(Kind, "org/name", "captioner") == ("org/name", {"local_files_only": True})


# --- one loader ---


def test_one_clip_is_loaded_once_whoever_asks(clip_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = clip.load(str(clip_folder))
    monkeypatch.chdir(clip_folder.parent)
    others = [clip.load(str(clip_folder), "cpu", field) for field in ("reranker", "classifier", "clip")]
    assert all(other is first for other in [*others, clip.load(clip_folder.name, torch.device("cpu"))])


def test_an_identity_is_of_all_that_is_read(clip_folder: Path, tmp_path: Path) -> None:
    copied = shutil.copytree(clip_folder, tmp_path / "here" / clip_folder.name)
    named = pretrained.identity(str(clip_folder), "CLIP")
    name, _, digest = named.partition(" ")
    assert name == clip_folder.name and len(digest) == 16 and pretrained.identity(str(copied), "CLIP") == named
    changed = {"preprocessor_config.json": True, "model.safetensors": True, "pytorch_model.bin": False, ".git": False}
    for file, counts in changed.items():
        other = shutil.copytree(clip_folder, tmp_path / file / clip_folder.name)
        with (other / file).open("ab") as end:
            end.write(b" ")
        assert (pretrained.identity(str(other), "CLIP") != named) is counts, file


def test_only_the_last_networks_are_kept() -> None:
    made: list[tuple[str, str]] = []

    def make(source: str, device: str, field: str = "") -> object:
        made.append((source, device))
        return object()

    load = pretrained.Kept(make)
    first = load("a")
    assert load("a") is first and load("b") is not first and load("a") is first
    load("b", "meta")  # on another device it is another network; "b" on the CPU was asked for longest ago
    assert load("a") is first and made == [("a", "cpu"), ("b", "cpu"), ("b", "meta")]
    load("b")
    assert made[3:] == [("b", "cpu")]


class Traveller(torch.nn.Module):
    """A network that says where it goes, and stays."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.moves: list[str] = []

    def to(self, device: Any) -> Any:  # type: ignore[override]  # as it is called here
        self.moves.append(str(device))
        self.weight = torch.nn.Parameter(torch.zeros(1, device=device))
        return self


def test_a_network_is_on_its_device_while_it_works_and_no_longer() -> None:
    net, other = Traveller(), Traveller()
    with pretrained.on("meta", net):
        assert net.moves == ["meta"]
        with pretrained.on(torch.device("meta"), net, other):  # which finds the first there already
            assert (net.moves, other.moves) == (["meta"], ["meta"])
        assert (net.moves, other.moves) == (["meta"], ["meta", "cpu"])
    assert net.moves == ["meta", "cpu"]
    with pretrained.on("cpu", net):
        assert net.moves == ["meta", "cpu"], "on the CPU nothing moves"
    with pytest.raises(ZeroDivisionError), pretrained.on("meta", net):
        raise ZeroDivisionError
    assert net.moves[-1] == "cpu", "nor does a failure leave it there"


@pytest.mark.parametrize("read", ["captioner", "classifier", "zero-shot", "reranker"])
def test_readers_run_where_the_backbone_runs(
    read: str, pocket_model: Backbone, mug: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Moving is only told here, for there is but a CPU: every network of a reader is asked to the backbone's device."""
    asked: list[str] = []

    @contextmanager
    def told(device: Any, *_: Any) -> Iterator[None]:
        asked.append(str(device))
        yield

    for module in ("clip", "initializers.captioner", "initializers.classify"):
        monkeypatch.setattr(sys.modules[f"photowords.{module}"], "on", told)
    backbone = copy.copy(pocket_model)
    backbone.device = torch.device("cpu", 0)  # another name of the same
    if read == "classifier":
        classify(Class(), [mug], backbone)
    elif read == "zero-shot":
        classify(Class(labels=("mug", "cat")), [mug], backbone)
    else:
        caption(Caption(candidates=2 if read == "reranker" else 1), [mug], backbone)
    assert asked and set(asked) == {"cpu:0"}


def test_networks_are_frozen(folder: Callable[[str], Path], clip_folder: Path) -> None:
    for model in (Captioner(str(folder("blip")))._model, Classifier(str(pocket.CLASSIFIER))._model):
        assert not model.training and not any(p.requires_grad for p in model.parameters())
    assert not any(p.requires_grad for p in clip.Clip(str(clip_folder))._model.parameters())


def test_python_users_are_told_nothing_of_torchvision() -> None:
    """Which nothing here needs; the command line has its own way."""
    code = """
import transformers
from photowords import backbones
level = transformers.logging.get_verbosity()
backbones.load("pocket", "cpu")
assert transformers.logging.get_verbosity() == level, "what else transformers says is heard as before"
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (run.stdout, run.stderr) == ("", "")
