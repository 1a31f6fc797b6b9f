"""Trains one model of the zoo and saves its checkpoints; resumes after an interruption."""

import logging
import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from zoo_build import documents
from zoo_build.families import CONTEXT, Family, Size, config, sample_texts, train_tokenizer

log = logging.getLogger(__name__)

BATCH = 8
LEARNING_RATE = 3e-3
WARMUP_STEPS = 100
DECAY_SHARE = 0.2
# Shares of a round at which a checkpoint is kept.
CHECKPOINTS = (0.08, 0.16, 0.28, 0.42, 0.6, 0.8, 1.0)


def tokenizer_of(family: Family, work: Path) -> PreTrainedTokenizerFast:
    """The family's tokenizer, trained the first time it is asked for."""
    folder = work / "tokenizers" / family.name
    if not (folder / "tokenizer.json").exists():
        building = folder.with_name(f".{family.name}-{os.getpid()}")
        train_tokenizer(family, sample_texts(family, 8000)).save_pretrained(building)
        folder.parent.mkdir(parents=True, exist_ok=True)
        if not folder.exists():
            building.rename(folder)
        else:
            shutil.rmtree(building)
    # Not AutoTokenizer: it would put the architecture's usual tokenizer in place of ours.
    loaded: PreTrainedTokenizerFast = PreTrainedTokenizerFast.from_pretrained(folder)
    return loaded


def token_stream(
    family: Family, tokenizer: PreTrainedTokenizerFast, rng: random.Random
) -> Iterator[list[int]]:
    """Rows of CONTEXT token ids: documents end to end, each after its prefix token.

    The mix counts tokens, so each source is drawn in proportion to its share over its mean length.
    """

    def encode(text: str) -> list[int]:
        ids: list[int] = tokenizer(text, add_special_tokens=False).input_ids
        if tokenizer.bos_token_id is None:
            return [tokenizer.eos_token_id, *ids]
        return [tokenizer.bos_token_id, *ids, tokenizer.eos_token_id]

    probe = random.Random(0)
    lengths = {
        source: sum(len(encode(documents.SOURCES[source](probe).text)) for _ in range(200)) / 200
        for source in family.mix
    }
    sources = list(family.mix)
    shares = [family.mix[source] / lengths[source] for source in sources]
    buffer: list[int] = []
    while True:
        for source in rng.choices(sources, shares, k=64):
            buffer += encode(documents.SOURCES[source](rng).text)
        while len(buffer) >= CONTEXT:
            yield buffer[:CONTEXT]
            buffer = buffer[CONTEXT:]


def learning_rate(step: int, n_steps: int) -> float:
    """Linear warm-up, constant, linear decay over the last DECAY_SHARE of a round of n_steps."""
    warm = min(1.0, (step + 1) / WARMUP_STEPS)
    decay = min(1.0, (n_steps - step) / (DECAY_SHARE * n_steps))
    return LEARNING_RATE * warm * decay


def run_name(family: Family, size: Size) -> str:
    """Name of a training run, e.g. `abacus-m`."""
    return f"{family.name}-{size.name}"


def train(family: Family, size: Size, work: Path) -> None:
    """Train one model; every checkpoint is a folder that transformers loads.

    Finished checkpoints are kept; an interrupted run goes on at its last one with the optimiser's
    state, on a data stream of its own seed from there.
    """
    run = work / "runs" / run_name(family, size)
    run.mkdir(parents=True, exist_ok=True)
    tokenizer = tokenizer_of(family, work)
    n_steps = size.round_tokens // (BATCH * CONTEXT)
    marks = {
        n_steps * number + max(1, round(share * n_steps))
        for number in range(size.n_rounds)
        for share in CHECKPOINTS
    }
    torch.manual_seed(family.seed)
    model: Any = AutoModelForCausalLM.from_config(config(family, size, tokenizer))
    decayed = [p for p in model.parameters() if p.ndim > 1]
    plain = [p for p in model.parameters() if p.ndim <= 1]
    optimiser = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.1}, {"params": plain, "weight_decay": 0.0}],
        lr=LEARNING_RATE,
        betas=(0.9, 0.98),
        foreach=True,
    )
    done = 0
    state = run / "state.pt"
    if state.exists():
        saved = torch.load(state, weights_only=True)
        model.load_state_dict(saved["model"])
        optimiser.load_state_dict(saved["optimiser"])
        done = saved["step"]
    rows = token_stream(family, tokenizer, random.Random(f"{family.seed}-{done}"))
    model.train()
    for step in range(done, n_steps * size.n_rounds):
        ids = torch.tensor([next(rows) for _ in range(BATCH)])  # (BATCH, CONTEXT)
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(step % n_steps, n_steps)
        loss = model(input_ids=ids, labels=ids).loss
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        if step + 1 in marks:
            log.info(
                "%s step %d of %d, loss %.3f",
                run.name,
                step + 1,
                n_steps * size.n_rounds,
                loss.item(),
            )
            folder = run / f"{run.name}-step{step + 1}"
            shutil.rmtree(folder, ignore_errors=True)
            model.save_pretrained(folder)
            tokenizer.save_pretrained(folder)
            parts = {
                "model": model.state_dict(),
                "optimiser": optimiser.state_dict(),
                "step": step + 1,
            }
            torch.save(parts, state.with_suffix(".tmp"))
            state.with_suffix(".tmp").rename(state)
