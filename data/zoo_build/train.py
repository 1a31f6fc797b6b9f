"""Resumable training of one model of the zoo, with checkpoints."""

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
from zoo_build.families import Family, Run, config, sample_texts
from zoo_build.rows import Rows
from zoo_build.vocabularies import train_tokenizer

log = logging.getLogger(__name__)

LEARNING_RATE = 3e-3
WARMUP_STEPS = 100
# A checkpoint is the mean of the weights over about this share of the steps before it.
AVERAGED_SHARE = 0.04
DECAY_SHARE = 0.1  # of the steps of a decayed end, over which the learning rate falls to zero
SAVE_SECONDS = 120.0
BRANCH = "branch.pt"  # the state that a decayed end begins from


def tokenizer_of(family: Family, work: Path) -> PreTrainedTokenizerFast:
    """Return the family's tokenizer, trained on first use."""
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


def design(run: Run) -> str:
    """Return a hash of everything that affects training: texts of every source, mix, schedule.

    A saved state with another hash comes from other programs and must not be resumed.
    """
    rng = random.Random(0)
    texts = [[draw(rng).text for _ in range(50)] for draw in documents.SOURCES.values()]
    schedule = (LEARNING_RATE, WARMUP_STEPS, AVERAGED_SHARE, DECAY_SHARE, run.steps[-1:])
    kind = (run.family, run.size, run.seed)
    return hashlib.sha256(repr((texts, kind, schedule)).encode()).hexdigest()[:16]


def branch_step(run: Run) -> int:
    """Return the step at which a decayed run branches from its parent."""
    return round(run.steps[-1] * (1 - DECAY_SHARE))


def learning_rate(run: Run, step: int) -> float:
    """Return the rate of a step: linear warm-up, then constant; a decayed run ends at zero."""
    if not run.decayed:
        return LEARNING_RATE * min(1.0, (step + 1) / WARMUP_STEPS)
    last = run.steps[-1]
    return LEARNING_RATE * (last - step) / (last - branch_step(run))


class Trainer:
    """A model, the running mean of its weights, its optimiser and its data."""

    def __init__(self, run: Run, tokenizer: PreTrainedTokenizerFast) -> None:
        """Start from random weights of the run's seed."""
        self.run, self.tokenizer = run, tokenizer
        torch.manual_seed(run.seed)
        self.model: Any = AutoModelForCausalLM.from_config(config(run.family, run.size, tokenizer))
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
        self.rows = Rows(run.family, tokenizer, run.seed)
        self.design = design(run)
        self.done = 0

    def step(self) -> float:
        """Take one optimiser step and return the loss."""
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(self.run, self.done)
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
        """Save the weights in transformers' format, whole or not at all.

        The running mean is saved, or the last weights of a decayed run.
        """
        building = folder.with_name(f".{folder.name}")
        shutil.rmtree(building, ignore_errors=True)
        if not self.run.decayed:
            self.swap()
        self.model.save_pretrained(building)
        if not self.run.decayed:
            self.swap()
        self.tokenizer.save_pretrained(building)
        shutil.rmtree(folder, ignore_errors=True)
        building.rename(folder)

    def save_state(self, path: Path) -> None:
        """Save the state from which `resume` continues exactly."""
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
        """Continue from a saved state."""
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


def train(run: Run, work: Path, finished: Callable[[Path], None] | None = None) -> None:
    """Train one model; every checkpoint is a folder in transformers' format.

    An interrupted run goes on from its last saved state with the same data. `finished`, where
    given, is called with each checkpoint's folder.

    Raises:
        SystemExit: the state that is there was begun with other programs, or the run that a
            decayed end branches from has not come to the branch.
    """
    folder = work / "runs" / run.name
    folder.mkdir(parents=True, exist_ok=True)
    state = folder / "state.pt"
    branch = work / "runs" / run.parent.name / BRANCH
    trainer = Trainer(run, tokenizer_of(run.family, work))
    if state.exists():
        trainer.resume(state)
    elif run.decayed:
        if not branch.exists():
            raise SystemExit(f"{run.name} begins at {branch}: train {run.parent.name} first")
        trainer.resume(branch)
    marks = run.steps
    saved_at = time.monotonic()
    while trainer.done < marks[-1]:
        loss = trainer.step()
        if trainer.done in marks:
            checkpoint = folder / f"{run.name}-step{trainer.done}"
            trainer.save_checkpoint(checkpoint)
            log.info("%s of %d, loss %.3f", checkpoint.name, marks[-1], loss)
            if finished is not None:
                finished(checkpoint)
        if trainer.done == branch_step(run) and not run.decayed:
            trainer.save_state(branch)
        if trainer.done in marks or time.monotonic() - saved_at > SAVE_SECONDS:
            trainer.save_state(state)
            saved_at = time.monotonic()
