"""A model in one file becomes the folder that it was."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from photowords import backbones, pocket
from photowords.backbones import single_file
from photowords.cli import main
from photowords.errors import UserError
from tests.original_layout import one_file


@pytest.fixture(scope="module")
def checkpoint(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("one") / "tiny.safetensors"
    save_file(one_file(tiny_folder), file)
    return file


@pytest.mark.parametrize("kind", ["safetensors", "ckpt"])
def test_every_tensor_and_configuration_is_the_folders(
    kind: str, checkpoint: Path, tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = checkpoint
    if kind == "ckpt":
        file = tmp_path / "tiny.ckpt"
        torch.save({"state_dict": load_file(checkpoint), "global_step": 3}, file)
    out = tmp_path / "made"
    assert main(["convert", str(file), "--out", str(out), "--like", str(tiny_folder)]) == 0
    assert f"next     photowords invert PHOTO --out RUN --model {out}" in capsys.readouterr().out
    for weights in tiny_folder.glob("*/*.safetensors"):
        given, made = load_file(weights), load_file(out / weights.relative_to(tiny_folder))
        made = {key.removeprefix("text_model."): tensor for key, tensor in made.items()}
        assert given.keys() == made.keys() and all(torch.equal(given[key], made[key]) for key in given), weights
    configs = [*tiny_folder.glob("*/config.json"), tiny_folder / "scheduler" / "scheduler_config.json"]
    for config in configs:
        given, made = (json.loads(file.read_text()) for file in (config, out / config.relative_to(tiny_folder)))
        assert given == made, config
    assert backbones.load(str(out), "cpu").weights_hash() == backbones.load(str(tiny_folder), "cpu").weights_hash()


def test_the_weights_keep_their_precision_and_a_stated_velocity_counts(
    checkpoint: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    file, out = tmp_path / "velocity.safetensors", tmp_path / "made"
    stated = {"v_pred": torch.tensor([]), "ztsnr": torch.tensor([])}
    save_file({**{key: tensor.half() for key, tensor in load_file(checkpoint).items()}, **stated}, file)
    assert single_file.to_folder(file, out, str(tiny_folder)) == str(tiny_folder)
    assert {tensor.dtype for tensor in load_file(next((out / "unet").glob("*.safetensors"))).values()} == {torch.half}
    scheduler = json.loads((out / "scheduler" / "scheduler_config.json").read_text())
    assert (scheduler["prediction_type"], scheduler["rescale_betas_zero_snr"]) == ("v_prediction", True)


def test_what_a_model_was_trained_from_is_told_by_its_tensors(tmp_path: Path) -> None:
    network, wide = "model.diffusion_model.", torch.zeros(8, 1024)
    first = {f"{network}input_blocks.0.0.weight": torch.zeros(320, 4, 3, 3)}
    large = "conditioner.embedders.1.model.transformer.resblocks.9.mlp.c_proj.bias"
    second = {f"{network}input_blocks.2.1.transformer_blocks.0.attn2.to_k.weight": wide}
    nine = {f"{network}input_blocks.0.0.weight": torch.zeros(320, 9, 3, 3)}
    assert single_file._trained_from(tmp_path, first) == "sd15"
    assert single_file._trained_from(tmp_path, {**first, large: torch.zeros(4)}) == "sdxl"
    for other, kind in (({**first, **second}, "v2"), (nine, "inpainting")):
        with pytest.raises(UserError, match=f"of the kind '{kind}', and only those trained from sd15, sdxl are known"):
            single_file._trained_from(tmp_path, other)


def test_without_a_network_it_says_what_is_missing(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("photowords.backbones.unreachable", lambda: True)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(UserError, match="is a model like sd15, whose configurations and tokenizer are not in the"):
        single_file.to_folder(checkpoint, tmp_path / "made")
    with pytest.raises(UserError, match="there is no model 'sd16'"):
        single_file.to_folder(checkpoint, tmp_path / "made", "sd16")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            {"clip_l": torch.zeros(2, 8)},
            "is no whole model: it has no tensors whose names begin with model.diffusion_model",
        ),
        ({"model.diffusion_model.x": torch.zeros(2)}, "does not hold a whole model like .*"),
        (b"cut", "cannot be read as a model's weights; give a .safetensors file"),
        (None, "there is no file"),
    ],
)
def test_other_files_are_refused_and_nothing_is_left(
    content: dict[str, torch.Tensor] | bytes | None, said: str, tiny_folder: Path, tmp_path: Path
) -> None:
    file, out = tmp_path / "in" / "x.safetensors", tmp_path / "out" / "made"
    file.parent.mkdir()
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif content is not None:
        save_file(content, file)
    with pytest.raises(UserError, match=said):
        single_file.to_folder(file, out, str(tiny_folder))
    assert not out.parent.exists() or not [*out.parent.iterdir()]


def test_a_pickle_with_more_than_tensors_is_not_opened(tiny_folder: Path, tmp_path: Path) -> None:
    torch.save({"state_dict": {}, "callback": Path("x")}, tmp_path / "x.ckpt")
    with pytest.raises(UserError, match=r"or a \.ckpt that holds tensors alone"):
        single_file.to_folder(tmp_path / "x.ckpt", tmp_path / "made", str(tiny_folder))


def test_a_folder_that_is_there_stays(checkpoint: Path, tiny_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(UserError, match="is there already; choose another place"):
        single_file.to_folder(checkpoint, tmp_path, str(tiny_folder))
    assert (tmp_path / "note.txt").read_text() == "mine"


def test_a_file_as_model_is_told_of_the_command_that_makes_a_folder(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["generate", "a mug", "--model", str(checkpoint), "--out", str(tmp_path / "x")]) == 2
    assert (
        "is a model in one file; give as --model the folder that photowords convert makes of it"
        in capsys.readouterr().err
    )


def test_the_text_encoder_is_named_as_other_tools_look_for_it(
    checkpoint: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    single_file.to_folder(checkpoint, tmp_path / "made", str(tiny_folder))
    for file in (tmp_path / "made", pocket.PIPELINE):
        names = load_file(file / "text_encoder" / "model.safetensors")
        assert names and all(name.startswith("text_model.") for name in names), file
    assert {path.name for path in (tmp_path / "made" / "tokenizer").iterdir()} >= {
        path.name for path in (tiny_folder / "tokenizer").iterdir()
    }


def test_a_text_encoder_named_as_in_the_oldest_merges_is_found(
    checkpoint: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    old = {key.replace(".text_model.", ".", 1): tensor for key, tensor in load_file(checkpoint).items()}
    assert not any("text_model" in key for key in old)
    save_file(old, tmp_path / "old.safetensors")
    for file, out in ((tmp_path / "old.safetensors", "old"), (checkpoint, "new")):
        single_file.to_folder(file, tmp_path / out, str(tiny_folder))
    old_, new = (backbones.load(str(tmp_path / out), "cpu").weights_hash() for out in ("old", "new"))
    assert old_ == new and not list((tmp_path / "old").glob("*.safetensors"))


def test_weights_with_scales_are_refused(checkpoint: Path, tiny_folder: Path, tmp_path: Path) -> None:
    scaled = {**load_file(checkpoint), "model.diffusion_model.out.2.scale_weight": torch.ones(1)}
    save_file(scaled, tmp_path / "scaled.safetensors")
    with pytest.raises(UserError, match="holds fp8 weights with scales, which are not read here"):
        single_file.to_folder(tmp_path / "scaled.safetensors", tmp_path / "made", str(tiny_folder))


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), SafetensorError("No space left on device")])
def test_a_full_disk_is_not_the_files_fault(
    error: Exception, checkpoint: Path, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: object, folder: Path) -> None:
        raise error

    monkeypatch.setattr("diffusers.StableDiffusionPipeline.save_pretrained", full)
    with pytest.raises(UserError, match=r"cannot make .*No space left on device; choose another place"):
        single_file.to_folder(checkpoint, tmp_path / "made", str(tiny_folder))
