"""What diffusers' textual_inversion.py does with new tokens, and what our loop takes a step with."""

from __future__ import annotations

from typing import Any

import torch
from tokenizers import AddedToken
from torch import Tensor, nn

from photowords.inversion import Problem
from photowords.inversion.loop import Inversion, gradients_of
from photowords.inversion.loss import Batch


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


def our_step(problem: Problem, batch: Batch) -> tuple[float, list[Tensor]]:
    """The mean loss of a batch, and its gradient in each text encoder's rows, with which the loop makes a step."""
    one = Inversion(problem)
    (loss,), slopes = gradients_of([one], [one.rows()], [batch])
    return loss.item(), list(slopes)
