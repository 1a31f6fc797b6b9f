"""A model's accuracy on the items of a task, by forward passes common to all architectures."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch

from zoo_build.tasks import ChoiceItem, GeneratedItem, Task, found_answer

BATCH_TOKENS = 4096
GENERATED_BATCH = 128


def encode(tokenizer: Any, text: str) -> list[int]:
    """Return token ids after one prefix token: BOS, else the separator."""
    bos = tokenizer.bos_token_id
    prefix = tokenizer.eos_token_id if bos is None else bos
    return [prefix, *tokenizer(text, add_special_tokens=False).input_ids]


def log_likelihoods(model: Any, tokenizer: Any, texts: Iterable[str]) -> dict[str, float]:
    """Compute ln p of each different text after the prefix token, nats."""
    rows = {text: encode(tokenizer, text) for text in texts}
    totals_by_text: dict[str, float] = {}
    for batch in _batches(sorted(rows, key=lambda text: len(rows[text])), rows):
        width = len(rows[batch[-1]])
        ids = torch.zeros(len(batch), width, dtype=torch.long)
        real = torch.zeros(len(batch), width, dtype=torch.bool)
        for i, text in enumerate(batch):  # padding stands on the right, where no real token sees it
            ids[i, : len(rows[text])] = torch.tensor(rows[text])
            real[i, : len(rows[text])] = True
        logits = model(input_ids=ids, use_cache=False).logits[:, :-1].float()
        taken = logits.log_softmax(-1).gather(2, ids[:, 1:, None])[..., 0]  # (n_texts, width - 1)
        totals = (taken * real[:, 1:]).sum(1).tolist()
        totals_by_text.update(zip(batch, totals, strict=True))
    return totals_by_text


def _batches(ordered: Sequence[str], rows: dict[str, list[int]]) -> Iterator[list[str]]:
    """Yield batches of texts of similar length, at most BATCH_TOKENS with their padding."""
    batch: list[str] = []
    for text in ordered:
        if batch and (len(batch) + 1) * len(rows[text]) > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(text)
    if batch:
        yield batch


def right_choices(model: Any, tokenizer: Any, items: Sequence[ChoiceItem]) -> list[bool]:
    """Check for each item if its right choice has the largest log-likelihood.

    The choices of an item share the prompt, so ranking by the likelihood of the whole text equals
    ranking by that of the continuation. A text shared by several items is scored once.
    """
    texts = {text for item in items for text in item.choices}
    likelihood = log_likelihoods(model, tokenizer, texts)
    right = []
    for item in items:
        scores = [likelihood[text] for text in item.choices]
        right.append(scores.index(max(scores)) == item.answer)
    return right


def continuations(
    model: Any, tokenizer: Any, prompts: Sequence[str], max_new_tokens: int, pattern: str
) -> list[str]:
    """Generate greedily until the pattern matches, the text ends or max_new_tokens is reached.

    Prompts of similar length run together, padded on the left; the mask excludes padding from
    attention, convolutions and states.
    """
    encoded = [encode(tokenizer, prompt) for prompt in prompts]
    order = sorted(range(len(prompts)), key=lambda i: len(encoded[i]))
    texts = [""] * len(prompts)
    for start in range(0, len(order), GENERATED_BATCH):
        batch = order[start : start + GENERATED_BATCH]
        width = len(encoded[batch[-1]])
        pads = [width - len(encoded[i]) for i in batch]
        padded = [
            [tokenizer.pad_token_id] * pad + encoded[i] for i, pad in zip(batch, pads, strict=True)
        ]
        seen = (torch.arange(width) >= torch.tensor(pads)[:, None]).long()
        ids = torch.tensor(padded)
        written = _greedy(model, tokenizer, ids, seen, max_new_tokens, pattern)
        for i, text in zip(batch, written, strict=True):
            texts[i] = text
    return texts


def _greedy(
    model: Any,
    tokenizer: Any,
    ids: torch.Tensor,
    seen: torch.Tensor,
    max_new_tokens: int,
    pattern: str,
) -> list[str]:
    """Continue padded prompts until all are done; seen is 0 on padding, else 1."""
    out = model(input_ids=ids, attention_mask=seen, use_cache=True)
    new: list[torch.Tensor] = []
    going = torch.ones(len(ids), dtype=torch.bool)
    for step in range(max_new_tokens):
        chosen = out.logits[:, -1].argmax(-1)
        new.append(chosen)
        going &= chosen != tokenizer.eos_token_id
        if step % 8 == 7:
            written = tokenizer.batch_decode(torch.stack(new, 1))
            going &= torch.tensor([re.search(pattern, text) is None for text in written])
        if not going.any() or step + 1 == max_new_tokens:
            break
        seen = torch.cat([seen, torch.ones_like(seen[:, :1])], dim=1)
        out = model(input_ids=chosen[:, None], attention_mask=seen, **_memory(out), use_cache=True)
    texts: list[str] = tokenizer.batch_decode(torch.stack(new, 1))
    return [text.split(tokenizer.eos_token)[0] for text in texts]


def _memory(out: Any) -> dict[str, Any]:
    """Return the model's cache under the argument name of its architecture."""
    if getattr(out, "cache_params", None) is not None:
        return {"cache_params": out.cache_params}
    return {"past_key_values": out.past_key_values}


def right_continuations(
    model: Any, tokenizer: Any, items: Sequence[GeneratedItem], pattern: str
) -> list[bool]:
    """Check for each item if the pattern's first match in the continuation is the answer."""
    longest = max(
        len(encode(tokenizer, item.prompt + item.worked)) - len(encode(tokenizer, item.prompt))
        for item in items
    )
    prompts = [item.prompt for item in items]
    written = continuations(model, tokenizer, prompts, longest + longest // 4, pattern)
    return [
        found_answer(pattern, text) == item.answer
        for item, text in zip(items, written, strict=True)
    ]


@torch.inference_mode()
def right_items(model: Any, tokenizer: Any, task: Task) -> list[bool]:
    """Check for each item of a task if the model's answer is right."""
    items = task.items()
    choices = [item for item in items if isinstance(item, ChoiceItem)]
    prompts = [item for item in items if isinstance(item, GeneratedItem)]
    if choices:
        return right_choices(model, tokenizer, choices)
    return right_continuations(model, tokenizer, prompts, task.pattern)
