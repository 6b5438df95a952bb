"""Small random captioners, classifiers and CLIPs in their real formats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers as hf
from tokenizers import pre_tokenizers

from photowords import pocket

SIZES = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
VISION = {**SIZES, "image_size": 32, "patch_size": 16}
SQUARE = {"height": 32, "width": 32}


def bert() -> Any:
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "red", "mug", "tea", "##pot", "with", "gold"]
    return hf.BertTokenizer(vocab={word: i for i, word in enumerate(words)})


def bpe(kind: Any, **options: Any) -> Any:
    """A byte-level tokenizer that knows four words whole."""
    specials = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", "<|endoftext|>"]
    vocab = {piece: i for i, piece in enumerate([*specials, *sorted(pre_tokenizers.ByteLevel.alphabet())])}
    merges = []
    for word in ("Ġred", "Ġmug", "Ġgold", "Ġpot"):
        for end in range(1, len(word)):
            merges.append((word[:end], word[end]))
            vocab.setdefault(word[: end + 1], len(vocab))
    return kind(vocab=vocab, merges=list(dict.fromkeys(merges)), **options)


def save_blip(folder: Path) -> None:
    tokenizer = bert()
    ids = {"bos_token_id": 2, "sep_token_id": 3, "eos_token_id": 3, "pad_token_id": 0}
    config = hf.BlipConfig(
        text_config={**SIZES, **ids, "vocab_size": len(tokenizer), "encoder_hidden_size": 16}, vision_config=VISION
    )
    hf.BlipForConditionalGeneration(config).save_pretrained(folder)
    hf.BlipProcessor(hf.BlipImageProcessorPil(size=SQUARE), tokenizer).save_pretrained(folder)


def save_blip_2(folder: Path) -> None:
    specials = {"bos_token": "</s>", "eos_token": "</s>", "unk_token": "</s>", "pad_token": "<pad>"}
    tokenizer = bpe(hf.GPT2Tokenizer, **specials)
    processor = hf.Blip2Processor(hf.BlipImageProcessorPil(size=SQUARE), tokenizer, num_query_tokens=4)
    opt = {"model_type": "opt", "hidden_size": 16, "ffn_dim": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    ids = {"bos_token_id": 2, "eos_token_id": 2, "pad_token_id": 1, "vocab_size": len(tokenizer)}
    config = hf.Blip2Config(
        vision_config=VISION,
        qformer_config={**SIZES, "encoder_hidden_size": 16, "vocab_size": 20},
        text_config={**opt, **ids, "word_embed_proj_dim": 16, "max_position_embeddings": 64},
        num_query_tokens=4,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
    )
    hf.Blip2ForConditionalGeneration(config).save_pretrained(folder)
    processor.save_pretrained(folder)


def save_git(folder: Path) -> None:
    tokenizer = bert()
    ids = {"bos_token_id": 2, "eos_token_id": 3, "pad_token_id": 0, "vocab_size": len(tokenizer)}
    hf.GitForCausalLM(hf.GitConfig(vision_config=VISION, **SIZES, **ids, max_position_embeddings=64)).save_pretrained(
        folder
    )
    shortest = hf.CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=SQUARE)
    hf.GitProcessor(shortest, tokenizer).save_pretrained(folder)


def save_vit_gpt2(folder: Path) -> None:
    tokenizer = bpe(hf.GPT2Tokenizer)
    start = tokenizer.bos_token_id
    decoder = hf.GPT2Config(n_embd=16, n_layer=1, n_head=2, vocab_size=len(tokenizer), n_positions=64)
    config = hf.VisionEncoderDecoderConfig.from_encoder_decoder_configs(hf.ViTConfig(**VISION), decoder)
    model = hf.VisionEncoderDecoderModel(config=config)
    for settings in (model.config, model.generation_config):
        settings.decoder_start_token_id = settings.pad_token_id = settings.eos_token_id = start
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    hf.ViTImageProcessorPil(size=SQUARE).save_pretrained(folder)


def save_florence_2(folder: Path) -> None:
    tokenizer = bpe(hf.BartTokenizer, extra_special_tokens={"image_token": "<image>"})
    tokenizer.add_tokens([f"<loc_{step}>" for step in range(1000)])
    bart = {
        "model_type": "bart",
        "d_model": 16,
        "encoder_layers": 1,
        "decoder_layers": 1,
        "max_position_embeddings": 64,
    }
    heads = {
        f"{half}_{what}": n for half in ("encoder", "decoder") for what, n in (("attention_heads", 2), ("ffn_dim", 16))
    }
    ids = {"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 2}
    vision = {"depths": (1, 1, 1, 1), "embed_dim": (8, 8, 8, 16), "num_heads": (1, 1, 1, 2), "num_groups": (1, 1, 1, 2)}
    config = hf.Florence2Config(
        vision_config={**vision, "window_size": 2, "projection_dim": 16, "max_position_embeddings": 10},
        text_config={**bart, **heads, **ids, "vocab_size": len(tokenizer)},
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
    )
    model = hf.Florence2ForConditionalGeneration(config)
    model.generation_config.min_new_tokens = 4
    with torch.no_grad():  # untrained, it would end at once, or say places only
        words = tokenizer.convert_tokens_to_ids(["Ġred", "Ġmug", "Ġgold", "Ġpot"])
        table = model.get_input_embeddings().weight
        table[[i for i in range(len(tokenizer)) if i not in words]] *= 0.01
    model.save_pretrained(folder)
    pictures = hf.CLIPImageProcessorPil(size={"height": 64, "width": 64}, do_center_crop=False)
    pictures.image_seq_length = 5
    hf.Florence2Processor(pictures, tokenizer).save_pretrained(folder)


SAVE = {
    "blip": save_blip,
    "blip-2": save_blip_2,
    "git": save_git,
    "vision-encoder-decoder": save_vit_gpt2,
    "florence2": save_florence_2,
}
CUT_OUT = [family for family in SAVE if family != "florence2"]


def save_clip(folder: Path) -> None:
    """With the processor that published ones have."""
    tokenizer = hf.CLIPTokenizer.from_pretrained(pocket.CLIP)
    ids = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    text = {**SIZES, **ids, "vocab_size": len(tokenizer), "max_position_embeddings": 16, "projection_dim": 8}
    config = hf.CLIPConfig(text_config=text, vision_config={**VISION, "projection_dim": 8}, projection_dim=8)
    hf.CLIPModel(config).save_pretrained(folder)
    shortest = hf.CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=SQUARE)
    hf.CLIPProcessor(shortest, tokenizer).save_pretrained(folder)
