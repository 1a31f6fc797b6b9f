"""Trains one model of the zoo and saves its checkpoints; resumes after an interruption."""

import hashlib
import logging
import os
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from zoo_build import documents
from zoo_build.families import Family, Size, config, sample_texts
from zoo_build.rows import Rows
from zoo_build.vocabularies import train_tokenizer

log = logging.getLogger(__name__)

LEARNING_RATE = 3e-3
WARMUP_STEPS = 100
# A checkpoint is the mean of the weights over about this share of the steps before it.
AVERAGED_SHARE = 0.04
N_CHECKPOINTS = 9  # and `Size.n_more`
CHECKPOINT_RATIO = 1.4  # each has seen this many times the tokens of the one before
SAVE_SECONDS = 120.0


def tokenizer_of(family: Family, work: Path) -> PreTrainedTokenizerFast:
    """The family's tokenizer, trained the first time it is asked for."""
    folder = work / "tokenizers" / family.vocabulary
    if not (folder / "tokenizer.json").exists():
        building = folder.with_name(f".{folder.name}-{os.getpid()}")
        train_tokenizer(
            family.tokenizer, family.n_vocab, sample_texts(family, 8000)
        ).save_pretrained(building)
        folder.parent.mkdir(parents=True, exist_ok=True)
        if not folder.exists():
            building.rename(folder)
        else:
            shutil.rmtree(building)
    # Not AutoTokenizer: it would put the architecture's usual tokenizer in place of ours.
    loaded: PreTrainedTokenizerFast = PreTrainedTokenizerFast.from_pretrained(folder)
    return loaded


def design(family: Family, size: Size) -> str:
    """A hash of all that decides what a run learns from: texts of every source, mix, schedule.

    A run whose state carries another one was begun with other programs and must not go on.
    """
    rng = random.Random(0)
    texts = [[draw(rng).text for _ in range(50)] for draw in documents.SOURCES.values()]
    schedule = (LEARNING_RATE, WARMUP_STEPS, AVERAGED_SHARE, checkpoint_steps(family, size))
    return hashlib.sha256(repr((texts, family, size, schedule)).encode()).hexdigest()[:16]


def learning_rate(step: int) -> float:
    """Linear warm-up, then constant: no decay, whose jump no other checkpoint would have."""
    return LEARNING_RATE * min(1.0, (step + 1) / WARMUP_STEPS)


def checkpoint_steps(family: Family, size: Size) -> list[int]:
    """Steps at which a checkpoint is kept, evenly spread in the logarithm of tokens."""
    usual = family.train_tokens // (family.batch * family.context)
    powers = range(1 - N_CHECKPOINTS, size.n_more + 1)
    return [round(usual * CHECKPOINT_RATIO**power) for power in powers]


def run_name(family: Family, size: Size) -> str:
    """Name of a training run, e.g. `abacus-m`."""
    return f"{family.name}-{size.name}"


class Trainer:
    """A model, the running mean of its weights, its optimiser and its data."""

    def __init__(self, family: Family, size: Size, tokenizer: PreTrainedTokenizerFast) -> None:
        """Start from random weights of the family's seed."""
        self.family, self.tokenizer = family, tokenizer
        torch.manual_seed(family.seed)
        self.model: Any = AutoModelForCausalLM.from_config(config(family, size, tokenizer))
        self.model.train()
        self.parameters = list(self.model.parameters())
        self.mean = [p.detach().clone() for p in self.parameters]
        self.optimiser = torch.optim.AdamW(
            [
                {"params": [p for p in self.parameters if p.ndim > 1], "weight_decay": 0.1},
                {"params": [p for p in self.parameters if p.ndim <= 1], "weight_decay": 0.0},
            ],
            lr=LEARNING_RATE,
            betas=(0.9, 0.98),
            foreach=True,
        )
        self.rows = Rows(family, tokenizer)
        self.design = design(family, size)
        self.done = 0

    def step(self) -> float:
        """One optimiser step; returns the loss."""
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(self.done)
        loss = self.model(**self.rows.batch(), use_cache=False).loss
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimiser.step()
        self.done += 1
        with torch.no_grad():
            torch._foreach_lerp_(self.mean, self.parameters, 1 / (1 + AVERAGED_SHARE * self.done))
        return float(loss.item())

    def swap(self) -> None:
        """Exchange the weights and their running mean."""
        with torch.no_grad():
            for parameter, mean in zip(self.parameters, self.mean, strict=True):
                kept = parameter.clone()
                parameter.copy_(mean)
                mean.copy_(kept)

    def save_checkpoint(self, folder: Path) -> None:
        """The averaged weights as a folder that transformers loads; whole or not at all."""
        building = folder.with_name(f".{folder.name}")
        shutil.rmtree(building, ignore_errors=True)
        self.swap()
        self.model.save_pretrained(building)
        self.swap()
        self.tokenizer.save_pretrained(building)
        shutil.rmtree(folder, ignore_errors=True)
        building.rename(folder)

    def save_state(self, path: Path) -> None:
        """Everything a later process needs to go on exactly here."""
        parts = {
            "model": self.model.state_dict(),
            "mean": self.mean,
            "optimiser": self.optimiser.state_dict(),
            "rows": self.rows.state(),
            "done": self.done,
            "design": self.design,
        }
        torch.save(parts, path.with_suffix(".tmp"))
        path.with_suffix(".tmp").rename(path)

    def resume(self, path: Path) -> None:
        """Go on from a saved state."""
        saved = torch.load(path, weights_only=True)
        if saved["design"] != self.design:
            raise SystemExit(
                f"{path} was begun with other texts, mixes or schedule: delete {path.parent}"
                " to train it anew, or go back to the programs that began it"
            )
        self.model.load_state_dict(saved["model"])
        self.mean = saved["mean"]
        self.optimiser.load_state_dict(saved["optimiser"])
        self.rows.resume(saved["rows"])
        self.done = saved["done"]


def train(
    family: Family, size: Size, work: Path, finished: Callable[[Path], None] | None = None
) -> None:
    """Train one model; every checkpoint is a folder that transformers loads.

    An interrupted run goes on from its last saved state with the same data. `finished`, where
    given, is called with each checkpoint's folder.
    """
    run = work / "runs" / run_name(family, size)
    run.mkdir(parents=True, exist_ok=True)
    state = run / "state.pt"
    trainer = Trainer(family, size, tokenizer_of(family, work))
    if state.exists():
        trainer.resume(state)
    marks = checkpoint_steps(family, size)
    saved_at = time.monotonic()
    while trainer.done < marks[-1]:
        loss = trainer.step()
        if trainer.done in marks:
            folder = run / f"{run.name}-step{trainer.done}"
            trainer.save_checkpoint(folder)
            log.info("%s of %d, loss %.3f", folder.name, marks[-1], loss)
            if finished is not None:
                finished(folder)
        if trainer.done in marks or time.monotonic() - saved_at > SAVE_SECONDS:
            trainer.save_state(state)
            saved_at = time.monotonic()
