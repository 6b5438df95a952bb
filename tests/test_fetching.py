"""What of a hub's repository is fetched, and what is said where it cannot be had; the hub is made up."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError
from huggingface_hub.utils._paths import filter_repo_objects

from photowords import backbones
from photowords.errors import UserError


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tiny_folder: Path) -> SimpleNamespace:
    """A hub with one repository, the small model; ``asked`` is what was asked of it, ``fails`` what it raises."""
    made = SimpleNamespace(asked={}, fails=None)

    def one(repository: str, file: str, **told: Any) -> str:
        made.asked[file] = told
        return str(tiny_folder / file)

    def all_of_it(repository: str, **told: Any) -> str:
        made.asked["all"] = told
        if made.fails:
            raise made.fails
        return str(tiny_folder)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", one)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", all_of_it)
    return made


def test_only_the_folders_of_the_pipeline_are_fetched(hub: SimpleNamespace, tiny_folder: Path) -> None:
    found = backbones.locate("somebody/model@refs/pr/2")
    assert found.folder == tiny_folder and hub.asked["all"]["revision"] == "refs/pr/2"
    kept = ["unet/diffusion_pytorch_model.safetensors", "vae/config.json", "tokenizer/merges.txt"]
    others = ["vae_1_0/config.json", "vae_decoder/model.onnx", "text_encoders/t5.safetensors", "whole.safetensors"]
    wanted = hub.asked["all"]["allow_patterns"]
    assert list(filter_repo_objects(["model_index.json", *kept, *others], allow_patterns=wanted)) == [
        "model_index.json",
        *kept,
    ]


def test_sd_3s_second_copies_are_not_fetched() -> None:
    index = {"_class_name": "StableDiffusion3Pipeline", "text_encoder_3": ["transformers", "T5EncoderModel"]}
    files = ["text_encoders/t5xxl_fp16.safetensors", "text_encoder_3/model-00001-of-00002.safetensors"]
    assert list(filter_repo_objects(files, allow_patterns=backbones._wanted(index, ("*/*.safetensors",)))) == files[1:]


def test_a_cache_without_the_repositorys_other_files_will_do(hub: SimpleNamespace, tiny_folder: Path) -> None:
    hub.fails = LocalEntryNotFoundError("incomplete")
    hub.fails.snapshot_path = str(tiny_folder)
    assert backbones.locate("somebody/model").folder == tiny_folder
    hub.fails = LocalEntryNotFoundError("nothing")
    with pytest.raises(UserError, match="it is not in the local cache and somebody/model could not be had"):
        backbones.locate("somebody/model")


def test_a_repository_of_one_checkpoint_names_convert(hub: SimpleNamespace) -> None:
    hub.fails = EntryNotFoundError.__new__(EntryNotFoundError)
    with pytest.raises(UserError, match=r"somebody/model holds no model in diffusers' folders.*photowords convert"):
        backbones.locate("somebody/model")


def test_a_name_with_a_branch_is_a_name(hub: SimpleNamespace) -> None:
    backbones.check("somebody/model@refs/pr/2")
    for wrong in ("model", "a/b/c", "a/b/c@main"):
        with pytest.raises(UserError, match="there is no model"):
            backbones.check(wrong)


def test_the_index_is_read_whatever_else_stands_in_it() -> None:
    told = json.loads('{"_class_name": "X", "unet": ["diffusers", "U"], "safety_checker": [null, null], "size": 8}')
    assert {pattern.partition("/")[0] for pattern in backbones._wanted(told, ())} == {
        "model_index.json",
        "unet",
        "safety_checker",
    }
