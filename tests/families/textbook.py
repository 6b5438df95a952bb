"""What diffusers' textual_inversion.py does with new tokens."""

from __future__ import annotations

from typing import Any

import torch
from tokenizers import AddedToken
from torch import Tensor, nn


def with_new_tokens(
    encoder: Any, tokenizer: Any, learned: Tensor, prompts: list[str], length: int = 77
) -> tuple[Any, Tensor]:
    """The encoder's table with the learned rows appended, and the ids of prompts in which new tokens stand for them."""
    placeholders = [f"<new{i}>" for i in range(len(learned))]
    assert tokenizer.add_tokens([AddedToken(token, normalized=False) for token in placeholders]) == len(learned)
    encoder.requires_grad_(False).eval()
    embedding = encoder.get_input_embeddings()
    embedding.weight = nn.Parameter(torch.cat([embedding.weight, learned]))
    encoder.set_input_embeddings(embedding)
    texts = [prompt.format(" ".join(placeholders)) for prompt in prompts]
    padded = tokenizer(texts, padding="max_length", truncation=True, max_length=length, return_tensors="pt")
    return embedding.weight, padded.input_ids
