"""Lying servers: what they answer is refused or stored whole, and a trickle comes to an end."""

import random
import time
from pathlib import Path
from typing import Any

from benchmarks.attacks.found import Bounds, Found, strike
from csvcore import store
from tests.support.servers import Answer, Vllm, answer, honest, logs_of, take
from tests.support.world import DOCS, change


def attack(world: Path, scorer: Path, n: int, left: Bounds, seed: int) -> Found:
    """Import the losses of a model from n servers that lie; see `world` for what else is stored."""
    found, rng = Found("servers"), random.Random(seed)
    lies = list(LIES)
    for number in range(n):
        if not left():
            break
        lie = lies[number % len(lies)]
        after = rng.choice([0, 0, 1, 2])  # honest answers before the first lie
        server = Vllm(scorer, _liar(lie, after)).start()
        try:
            name = f"liar{number}"
            strike(found, lie, lambda s=server, name=name: take(world, s, name=name))  # type: ignore[misc]
        finally:
            server.stop()
        _check(found, world, name, lie)
    return found


def _check(found: Found, world: Path, name: str, lie: str) -> None:
    """Count a model that has losses on some documents alone; remove what a liar gave."""
    with store.connect(world, read_only=True) as db:
        n_docs = store.coverage(db, "words").get(name, 0)
    if n_docs not in (0, len(DOCS)):
        found.rows += 1
        found.note(f"{lie}: losses on {n_docs} of {len(DOCS)} documents were stored")
    for table in ("losses", "manifests", "models"):
        change(world, f"DELETE FROM {table} WHERE model = '{name}'")


def _liar(lie: str, honest_before: int) -> Any:
    def behave(server: Vllm, body: dict[str, Any]) -> Answer:
        if len(server.bodies) <= honest_before:
            return honest(server, body)
        return LIES[lie](server, body)

    return behave


def _logs(change_of: Any) -> Any:
    def lie(server: Vllm, body: dict[str, Any]) -> Answer:
        told = honest(server, body)
        return told if told[0] != 200 else (200, answer(change_of(logs_of(told))))

    return lie


def _raw(status: int, content: Any) -> Any:
    return lambda server, body: (status, content)


def _slow(server: Vllm, body: dict[str, Any]) -> Answer:
    time.sleep(2.0)
    return honest(server, body)


LIES = {
    "other losses": _logs(lambda logs: [None, *(-3.0 for _ in logs[1:])]),
    "positive": _logs(lambda logs: [None, *(1.0 for _ in logs[1:])]),
    "not a number": _logs(lambda logs: [None, *(float("nan") for _ in logs[1:])]),
    "infinite": _logs(lambda logs: [None, *(float("-inf") for _ in logs[1:])]),
    "text": _logs(lambda logs: [None, *("low" for _ in logs[1:])]),
    "truth values": _logs(lambda logs: [None, *(True for _ in logs[1:])]),
    "too few": _logs(lambda logs: logs[:-2]),
    "too many": _logs(lambda logs: logs * 2),
    "none": _logs(lambda logs: None),
    "huge": _logs(lambda logs: [None, *(-(10.0**300) for _ in logs[1:])]),
    "nested": _raw(200, b"[" * 100_000),
    "digits": _raw(200, b'{"choices": [{"logprobs": {"token_logprobs": [' + b"9" * 5000 + b"]}}]}"),
    "no JSON": _raw(200, b"<html>"),
    "not UTF-8": _raw(200, b"\xff\xfe"),
    "empty": _raw(200, b""),
    "a list": _raw(200, []),
    "no choices": _raw(200, {"choices": []}),
    "error 500": _raw(500, b"boom"),
    "error in words": _raw(400, {"error": {"message": "no" * 5000}}),
    "error of control characters": _raw(400, {"error": {"message": "\x1b[2J\x07"}}),
    "slow": _slow,
}
