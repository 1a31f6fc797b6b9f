"""A server that speaks as vLLM does, and what is stored of its answers."""

import json
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from numpy.testing import assert_allclose
from transformers import AutoModelForCausalLM

from csvcore import lm, store
from csvcore.errors import ModelError
from csvcore.lm import LanguageModel, LoadConfig
from csvcore.pipeline import completions
from csvcore.pipeline.completions import ServerConfig
from csvcore.records import Document, TokenLosses
from tests.support.world import DOCS, contents

KEY = "sk-secret-of-ours"
CHECKED = (DOCS[0], DOCS[len(DOCS) // 2])  # the two documents of the check
Answer = tuple[int, Any]  # status and body; bytes are sent as they are
Behaviour = Callable[["Vllm", dict[str, Any]], Answer]


@lru_cache(maxsize=8)
def full_model(folder: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder)


def honest(server: "Vllm", body: dict[str, Any]) -> Answer:
    """Answer as vLLM does: log-probabilities of the prompt but its first token, and one new token.

    As in vLLM prompt and answer have to fit the model's context together.
    """
    model, ids = full_model(server.folder), body["prompt"]
    n_wanted = len(ids) + body["max_tokens"]
    if n_wanted > model.config.max_position_embeddings:
        bound = model.config.max_position_embeddings
        reason = f"This model's maximum context length is {bound} tokens, not {n_wanted}"
        return 400, {"error": {"message": reason}}
    with server.lock, torch.no_grad():
        log_p = model(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1)
    own = log_p[torch.arange(len(ids) - 1), torch.tensor(ids[1:])].tolist()
    return 200, answer([None, *own, float(log_p[-1].max())])


def answer(token_logprobs: Sequence[Any] | None) -> dict[str, Any]:
    logprobs = None if token_logprobs is None else {"token_logprobs": list(token_logprobs)}
    return {"object": "text_completion", "choices": [{"index": 0, "logprobs": logprobs}]}


def logs_of(given: Answer) -> list[Any]:
    found: list[Any] = given[1]["choices"][0]["logprobs"]["token_logprobs"]
    return found


@dataclass
class Vllm:
    """A server in a thread; folder is the model that it serves, behave how it answers."""

    folder: Path
    behave: Behaviour = honest
    bodies: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    lock: Any = field(default_factory=threading.Lock)
    dead: bool = False
    port: int = 0
    _http: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def prompts(self) -> list[list[int]]:
        return [body["prompt"] for body in self.bodies]

    def start(self) -> "Vllm":
        """Listen, on the port of before if there was one."""
        self.dead = False
        self._http = ThreadingHTTPServer(("127.0.0.1", self.port), handler(self))
        self._http.daemon_threads = True
        self.port = self._http.server_address[1]
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def stop(self) -> None:
        """Hang up on everyone and listen no more."""
        self.dead = True
        if self._http is not None:
            self._http.shutdown()
            self._http.server_close()
            self._http = None


def handler(server: Vllm) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # connections stay open

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if server.dead:
                self.close_connection = True
                return
            with server.lock:
                server.bodies.append(body)
                server.paths.append(self.path)
                server.keys.append(self.headers["Authorization"])
            status, given = server.behave(server, body)
            if server.dead:
                self.close_connection = True
                return
            content = given if isinstance(given, bytes) else json.dumps(given).encode()
            with suppress(ConnectionError):
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler


def wanted(server: Vllm, **more: Any) -> ServerConfig:
    given = {"url": server.url, "served": "served-name", "reference": str(server.folder)}
    return ServerConfig(**(given | more))


def take(database: Path, server: Vllm, **more: Any) -> str:
    return completions.import_completions(database, "words", wanted(server, **more))


def stored(database: Path, model: str) -> dict[str, dict[str, Any]]:
    """Rows of a model's losses on `words`, in the order of its documents."""
    with store.connect(database, read_only=True) as db:
        found = store.loss_rows(db, "words", [model])
    return {row["doc_id"]: row for row in found.to_pylist()}


@lru_cache(maxsize=8)
def loaded(folder: Path | str) -> LanguageModel:
    return lm.load(str(folder), LoadConfig("cpu"))


def scored(
    folder: Path | str, docs: Sequence[Document], context: int | None = None
) -> list[TokenLosses]:
    return list(lm.score(loaded(folder), docs, context=context))


def check_losses(found: dict[str, dict[str, Any]], expected: Sequence[TokenLosses]) -> None:
    assert list(found) == [row.doc_id for row in expected]
    for row in expected:
        own = found[row.doc_id]
        assert own["byte_start"] == row.byte_start.tolist()
        assert own["byte_end"] == row.byte_end.tolist()
        assert row.token_id is not None
        assert own["token_id"] == row.token_id.tolist()
        assert_allclose(own["nll"], row.nll, atol=1e-4)  # two forward passes in float32


def shard_files(database: Path) -> list[Path]:
    return sorted(database.with_name(f"{database.name}.shards").glob("*.parquet"))


def refused(database: Path, server: Vllm, message: str, **more: Any) -> str:
    """Return the one sentence of a ModelError, with nothing stored and no shard written."""
    before = contents(database)
    with pytest.raises(ModelError, match=message) as error:
        take(database, server, **more)
    assert contents(database) == before
    assert shard_files(database) == []
    sentence = str(error.value)
    assert "\n" not in sentence
    return sentence


def later(server: Vllm, body: dict[str, Any]) -> Answer:
    """Each token has its successor's log-probability, as from llama-cpp-python 0.3.36."""
    none, first, *others = logs_of(honest(server, body))
    return 200, answer([none, *others, first])


def earlier(server: Vllm, body: dict[str, Any]) -> Answer:
    none, *others = logs_of(honest(server, body))
    return 200, answer([none, others[-1], *others[:-1]])
