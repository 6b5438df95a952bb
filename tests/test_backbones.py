import hashlib
import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline
from PIL import Image

from photowords import backbones, images, pocket
from photowords.backbones import Backbone, automatic
from photowords.backbones.objective import Denoising
from photowords.backbones.world import distances
from photowords.errors import PhotowordsWarning, UserError
from photowords.initializers import start
from photowords.starts import Words
from tests.small_models import SCHEDULE


def test_a_loaded_model_says_what_it_is(tiny: Backbone, tiny_v: Backbone) -> None:
    assert [(e.width, e.context) for e in tiny.text_encoders.values()] == [(32, 32)] and tiny.picture_size == 64
    assert list(tiny.text_encoders) == ["clip_l"] and tiny.objective.steps == 1000
    assert tiny.fingerprint != tiny_v.fingerprint and len(tiny.fingerprint) == 16
    assert tiny.readers["captioner"] == "Salesforce/blip-image-captioning-base"


def test_the_fingerprint_does_not_depend_on_the_precision(tiny_folder: Path, tiny: Any) -> None:
    coarse: Any = backbones.load(str(tiny_folder), "cpu", "bf16")
    assert coarse.dtype == torch.bfloat16 and coarse.fingerprint == tiny.fingerprint
    exact = tiny.text_encoders["clip_l"].word_vectors("blue mug")
    assert torch.equal(coarse.text_encoders["clip_l"].word_vectors("blue mug"), exact), (
        "words keep their stored precision"
    )


def test_encode_is_the_scaled_posterior(tiny: Any, mug: Any) -> None:
    picture = images.to_tensor(mug, 64)
    latents = tiny.encode_picture(picture)
    posterior = tiny._pipe.vae.encode(picture).latent_dist
    scale = tiny._pipe.vae.config.scaling_factor
    assert torch.allclose(latents.mean, posterior.mean * scale)
    assert torch.allclose(latents.std, posterior.std * scale)
    drawn = torch.cat([latents.sample(torch.randn(1, 4, 8, 8)) for _ in range(400)])
    assert torch.allclose(drawn.std(0).mean(), latents.std.mean(), rtol=0.02)


def test_a_device_is_asked_for_no_double_precision() -> None:
    """Apple's GPUs have none, and "meta" gives nothing back."""
    made = Denoising(DDIMScheduler(**SCHEDULE), torch.device("meta"))
    t, share = made.important(torch.tensor([0.1, 0.9], dtype=torch.float64))
    assert t.device.type == share.device.type == "cpu" and 0 <= t[0] < t[1] < 1000


def test_noise_follows_the_schedule(tiny: Any) -> None:
    z, noise = torch.randn(2, 4, 8, 8), torch.randn(2, 4, 8, 8)
    noisy = tiny.objective.add_noise(z, noise, torch.tensor([0, 999]))
    a = tiny.objective._schedule.alphas_cumprod
    assert torch.allclose(noisy[1], a[999].sqrt() * z[1] + (1 - a[999]).sqrt() * noise[1])
    assert (noisy[0] - z[0]).abs().mean() < 0.05


def test_the_weights_hash_sees_one_changed_weight(tiny: Any) -> None:
    before, bias = tiny.weights_hash(), tiny._pipe.unet.conv_out.bias
    kept = bias.detach().clone()
    with torch.no_grad():
        bias[0] += 1e-3
        changed = tiny.weights_hash()
        bias.copy_(kept)
    assert changed != before and tiny.weights_hash() == before


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (
            '{"_class_name": "FluxKontextPipeline"}',
            "is a FluxKontextPipeline, but photowords knows StableDiffusionPipeline",
        ),
        ("not json", "no readable model_index.json"),
        ("{}", "no readable model_index.json"),
    ],
)
def test_a_folder_that_is_no_stable_diffusion_is_refused(index: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text(index)
    with pytest.raises(UserError, match=message):
        backbones.load(str(tmp_path))


def test_a_folder_with_a_short_names_name_is_told_from_it(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(tiny_folder, tmp_path / "pocket")
    monkeypatch.chdir(tmp_path)
    with pytest.warns(PhotowordsWarning, match=r"pocket is taken as the short name; .* write \./pocket"):
        assert backbones.load("pocket", "cpu").world is not None
    assert backbones.load("./pocket", "cpu").world is None


def test_a_model_with_a_missing_part_is_refused(tiny_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_folder, tmp_path / "sd")
    shutil.rmtree(tmp_path / "sd" / "unet")
    with pytest.raises(UserError, match="cannot be loaded"):
        backbones.load(str(tmp_path / "sd"))


def test_truncated_weights_are_refused(tiny_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_folder, tmp_path / "sd")
    weights = next((tmp_path / "sd" / "text_encoder").glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(UserError, match="cannot be loaded"):
        backbones.load(str(tmp_path / "sd"))


def test_the_layout_of_published_models_loads(tiny_folder: Path, tmp_path: Path) -> None:
    """PNDM, a safety checker and a feature extractor in the index, eos_token_id 2, and another pad token."""
    folder = tmp_path / "sd"
    shutil.copytree(tiny_folder, folder)

    def edit(name: str, **fields: Any) -> None:
        record = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps({**record, **fields}))

    edit(
        "model_index.json",
        safety_checker=["stable_diffusion", "StableDiffusionSafetyChecker"],
        feature_extractor=["transformers", "CLIPImageProcessor"],
        scheduler=["diffusers", "PNDMScheduler"],
    )
    edit("scheduler/scheduler_config.json", _class_name="PNDMScheduler", skip_prk_steps=True)
    edit("text_encoder/config.json", eos_token_id=2)
    edit("tokenizer/tokenizer_config.json", pad_token="!")
    backbone: Any = backbones.load(str(folder), "cpu", "fp32")
    concept = start(Words(words="blue mug"), [], backbone)
    spliced = backbone.encode_prompt([["a", *concept.refs]], concept.embeddings())
    assert torch.equal(spliced["prompt_embeds"], backbone.encode_prompt([["a blue mug"]], {})["prompt_embeds"])
    assert backbone._pipe.tokenizer.pad_token == "!"


def test_the_pocket_is_an_ordinary_folder_that_says_what_it_knows(pocket_model: Backbone) -> None:
    assert json.loads((pocket.PIPELINE / "model_index.json").read_text())["_class_name"] == "StableDiffusionPipeline"
    assert pocket_model.unknown_words("a red zebra, on the beach; a close-up photo of a two-tone *") == ["zebra"]
    assert Path(pocket_model.readers["captioner"]).resolve() == pocket.CAPTIONER.resolve()
    weights = sum(path.stat().st_size for path in pocket.HERE.rglob("*.safetensors"))
    assert weights <= 60e6 and pocket_model.picture_size == pocket.SIDE
    with warnings.catch_warnings():  # diffusers finds nothing outdated in it
        warnings.simplefilter("error", FutureWarning)
        StableDiffusionPipeline.from_pretrained(pocket.PIPELINE, safety_checker=None)


def test_the_bank_is_familiar_to_the_pocket_and_noise_is_not(pocket_model: Backbone) -> None:
    for name in pocket.concepts():
        assert pocket_model.is_familiar(images.to_tensor(images.load_photo(pocket.view(name)), pocket.SIDE)), name
    assert not pocket_model.is_familiar(torch.rand(1, 3, pocket.SIDE, pocket.SIDE) * 2 - 1)
    assert not pocket_model.is_familiar(images.to_tensor(landscape(), pocket.SIDE))


def test_what_never_varies_in_a_world_tells_others_apart() -> None:
    own = torch.rand(20, 14, generator=torch.Generator().manual_seed(0))
    own[:, 6] = -6.2
    other = own[:1].clone()
    other[0, 6] += 1
    assert distances(own[:1], own)[0, 0] == 0 and distances(other, own)[0, 0] > 10


def landscape() -> Image.Image:
    """As a camera sees it: muted colours, soft light, grain on everything."""
    generator = torch.Generator().manual_seed(0)
    light = torch.linspace(0.75, 0.35, 256)[:, None, None].expand(256, 256, 3).clone()
    light[150:] *= torch.tensor([0.75, 0.8, 0.6])
    coarse = torch.nn.functional.interpolate(torch.rand(1, 1, 64, 64, generator=generator), 256, mode="bicubic")[0, 0]
    grain = torch.rand(256, 256, 1, generator=generator) * 0.25 + coarse[..., None] * 0.2
    return Image.fromarray(((light + grain - 0.2).clamp(0, 1) * 255).byte().numpy())


def test_auto_is_the_pocket_for_its_world_and_the_first_cached_model_for_a_photo(
    mug: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    here: set[str] = set()
    monkeypatch.setattr(automatic, "is_cached", lambda source: source in here)
    assert automatic.for_photos([mug]) == "pocket"
    with pytest.raises(
        UserError,
        match=r"no picture of the small.*\(sd15: Stable.*about 4 GB, is downloaded\).*`model` pocket",
    ):
        automatic.for_photos([landscape()])
    with pytest.raises(UserError, match="photo 2 of 3 is no picture of the small world"):
        automatic.for_photos([mug, landscape(), mug])
    here.add(backbones.ALIASES["sd15"].source)
    assert automatic.for_photos([landscape()]) == "sd15"


def test_a_model_is_cached_when_every_part_has_its_weights(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(tiny_folder, tmp_path / "sd")
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_: str(folder / "model_index.json"))
    assert automatic.is_cached("a/b")
    weights = next((folder / "vae").glob("*.safetensors"))
    weights.rename(weights.with_suffix(".fp16.safetensors"))  # which is not what is fetched
    assert not automatic.is_cached("a/b")
    (folder / "vae" / "other.index.json").write_text("{}")  # names no pieces, which is not to have them all
    assert not automatic.is_cached("a/b")
    pieces = [f"{weights.stem}-0000{n}-of-00002.safetensors" for n in (1, 2)]
    index = {"weight_map": {"encoder.weight": pieces[0], "decoder.weight": pieces[1]}}
    (folder / "vae" / f"{weights.name}.index.json").write_text(json.dumps(index))
    for piece, whole in zip(pieces, (False, True), strict=True):
        (folder / "vae" / piece).touch()
        assert automatic.is_cached("a/b") == whole


def test_the_safety_checker_need_not_be_cached(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(tiny_folder, tmp_path / "sd")
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_: str(folder / "model_index.json"))
    index = json.loads((folder / "model_index.json").read_text())
    told = {**index, "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"]}
    (folder / "model_index.json").write_text(json.dumps(told))
    (folder / "safety_checker").mkdir()
    (folder / "safety_checker" / "config.json").write_text("{}")
    assert automatic.is_cached("a/b")


def test_the_pockets_readers_warn_of_a_photo(pocket_model: Backbone, mug: Image.Image) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", PhotowordsWarning)
        start("caption", [mug], pocket_model)
    with pytest.warns(PhotowordsWarning, match="photo 2 lies outside the small world that pocket and its readers know"):
        start("class", [mug, landscape()], pocket_model)


def test_the_bank_holds_twelve_concepts_of_five_views() -> None:
    assert len(pocket.concepts()) == 12
    digests = {
        hashlib.sha256(pocket.view(name, k).read_bytes()).hexdigest() for name in pocket.concepts() for k in range(5)
    }
    assert len(digests) == 60
