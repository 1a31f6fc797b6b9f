import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from helpers import DOCS, contents
from numpy.testing import assert_allclose
from transformers import AutoModelForCausalLM

from csvcore import cli, completions, packs, pipeline, scoring, store
from csvcore.errors import InputError, ModelError
from csvcore.pipeline import ServerConfig
from csvcore.records import Document, TokenLosses
from csvcore.scoring import LanguageModel, LoadConfig

KEY = "sk-secret-of-ours"
CHECKED = (DOCS[0], DOCS[len(DOCS) // 2])  # the two documents of the check
Answer = tuple[int, Any]  # status and body; bytes are sent as they are
Behaviour = Callable[["Vllm", dict[str, Any]], Answer]


# A server that speaks as vLLM does ---------------------------------------------------------------


@lru_cache(maxsize=8)
def full_model(folder: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder)


def honest(server: "Vllm", body: dict[str, Any]) -> Answer:
    """What vLLM answers: the prompt's log-probabilities, none for its first token, one generated.

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


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Vllm]]:
    """Starts servers of a model; nobody waits before asking again."""
    monkeypatch.setattr(completions, "RETRIES", completions.RETRIES.new(backoff_factor=0.0))
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    started: list[Vllm] = []

    def start(folder: Path | str, behave: Behaviour = honest) -> Vllm:
        full_model(Path(folder))  # not in two threads at once
        started.append(Vllm(Path(folder), behave).start())
        return started[-1]

    yield start
    for server in started:
        server.stop()


def wanted(server: Vllm, **more: Any) -> ServerConfig:
    given = {"url": server.url, "served": "served-name", "reference": str(server.folder)}
    return ServerConfig(**(given | more))


def take(database: Path, server: Vllm, **more: Any) -> str:
    return pipeline.import_completions(database, "words", wanted(server, **more))


def stored(database: Path, model: str) -> dict[str, dict[str, Any]]:
    """Rows of a model's losses by document."""
    with store.connect(database, read_only=True) as db:
        found = db.sql("SELECT * FROM losses WHERE model = ?", params=[model]).to_arrow_table()
    return {row["doc_id"]: row for row in found.to_pylist()}


@lru_cache(maxsize=8)
def loaded(folder: Path | str) -> LanguageModel:
    return scoring.load(str(folder), LoadConfig("cpu"))


def scored(
    folder: Path | str, docs: Sequence[Document], context: int | None = None
) -> list[TokenLosses]:
    return list(scoring.score(loaded(folder), docs, context=context))


def check_losses(found: dict[str, dict[str, Any]], expected: Sequence[TokenLosses]) -> None:
    assert list(found) == [row.doc_id for row in expected]
    for row in expected:
        own = found[row.doc_id]
        assert own["byte_start"] == row.byte_start.tolist()
        assert own["byte_end"] == row.byte_end.tolist()
        assert row.token_id is not None
        assert own["token_id"] == row.token_id.tolist()
        assert_allclose(own["nll"], row.nll, atol=1e-4)  # two forward passes in float32


def own_prompts(folder: Path, docs: Sequence[Document]) -> list[list[int]]:
    """Prefix and tokens of each document, from the tokenizer itself."""
    lm = loaded(folder)
    prefix = lm.tokenizer.bos_token_id
    prefix = lm.tokenizer.eos_token_id if prefix is None else prefix
    return [[prefix, *lm.tokenizer(doc.text, add_special_tokens=False).input_ids] for doc in docs]


def shard_files(database: Path) -> list[Path]:
    return sorted(database.with_name(f"{database.name}.shards").glob("*.parquet"))


def refused(database: Path, server: Vllm, message: str, **more: Any) -> str:
    """The one sentence of a ModelError; nothing is stored, not even a shard."""
    before = contents(database)
    with pytest.raises(ModelError, match=message) as error:
        take(database, server, **more)
    assert contents(database) == before
    assert shard_files(database) == []
    sentence = str(error.value)
    assert "\n" not in sentence
    return sentence


# What is asked, and what is stored


@pytest.mark.parametrize("folder", ["tiny_lm", "tiny_llama"])
def test_the_losses_of_a_server_are_those_of_the_model_itself(
    words_db: Path,
    serve: Callable[..., Vllm],
    folder: str,
    request: pytest.FixtureRequest,
) -> None:
    server = serve(request.getfixturevalue(folder))
    message = take(words_db, server)
    assert server.folder.name in message
    assert f"{len(DOCS)} documents" in message
    check_losses(stored(words_db, server.folder.name), scored(server.folder, DOCS))


@pytest.mark.parametrize("folder", ["tiny_lm", "tiny_llama"])
def test_a_prompt_is_one_prefix_token_and_the_document_and_asks_for_one_token(
    words_db: Path,
    serve: Callable[..., Vllm],
    folder: str,
    request: pytest.FixtureRequest,
) -> None:
    server = serve(request.getfixturevalue(folder))
    take(words_db, server)
    asked = Counter(map(tuple, server.prompts))
    assert asked == Counter(map(tuple, own_prompts(server.folder, [*DOCS, *CHECKED])))
    assert set(server.paths) == {"/v1/completions"}
    for body in server.bodies:
        assert body["max_tokens"] == 1  # with 0 some servers never end
        assert body["echo"] is True
        assert body["logprobs"] == 1
        assert body["model"] == "served-name"
        assert body["prompt"].count(body["prompt"][0]) == 1
        assert not body.get("stream", False)


def test_the_manifest_says_how_the_losses_were_made(
    words_db: Path, serve: Callable[..., Vllm], tiny_lm: Path
) -> None:
    message = take(words_db, serve(tiny_lm), name="served")
    with store.connect(words_db, read_only=True) as db:
        made = store.manifests(db, "words")["served"]
        [card] = store.models(db)
        assert store.coverage(db, "words") == {"served": len(DOCS)}
    lm = loaded(tiny_lm)
    assert made is not None
    assert (made["engine"], made["served"]) == ("completions", "served-name")
    assert made["tokenizer_sha256"] == lm.tokenizer_sha256
    assert made["weights_sha256"] == lm.weights_sha256
    assert made["prefix"] == lm.manifest()["prefix"]
    assert 0 <= made["apart"] < 1e-4
    assert f"{made['apart']:.2g} nats a token apart" in message
    assert (card.model, card.family, card.n_params) == ("served", "gpt2", lm.model.num_parameters())


def test_a_card_that_is_known_stays_as_it_is(
    words_db: Path, serve: Callable[..., Vllm], tiny_lm: Path, write: Callable[..., Path]
) -> None:
    pipeline.import_models(words_db, write("models.csv", f"model,family\n{tiny_lm.name},mine\n"))
    take(words_db, serve(tiny_lm))
    with store.connect(words_db, read_only=True) as db:
        assert [(card.model, card.family) for card in store.models(db)] == [(tiny_lm.name, "mine")]


def test_progress_runs_from_nothing_to_all_shards(
    words_db: Path, serve: Callable[..., Vllm], tiny_lm: Path, one_by_one: None
) -> None:
    seen: list[tuple[int, int]] = []
    pipeline.import_completions(
        words_db, "words", wanted(serve(tiny_lm)), lambda done, total: seen.append((done, total))
    )
    assert seen == [(done, len(DOCS)) for done in range(len(DOCS) + 1)]


@pytest.mark.parametrize("tail", ["", "/", "/completions"])
def test_the_address_may_end_in_a_slash_or_in_completions(
    words_db: Path, serve: Callable[..., Vllm], tiny_lm: Path, tail: str
) -> None:
    server = serve(tiny_lm)
    take(words_db, server, url=server.url + tail)
    assert set(server.paths) == {"/v1/completions"}


def test_a_key_is_sent_as_bearer_and_kept_nowhere(
    words_db: Path, serve: Callable[..., Vllm], tiny_lm: Path
) -> None:
    server = serve(tiny_lm)
    message = take(words_db, server, key=KEY)
    assert set(server.keys) == {f"Bearer {KEY}"}
    assert KEY not in message + repr(contents(words_db))
    for file in shard_files(words_db):
        assert KEY not in repr(packs.decode(file.name, file.read_bytes()))


def test_without_a_key_none_is_sent(
    words_db: Path, serve: Callable[..., Vllm], tiny_lm: Path
) -> None:
    server = serve(tiny_lm)
    take(words_db, server)
    assert set(server.keys) == {None}


def test_long_documents_are_seen_through_windows_that_leave_room_for_the_answer(
    tmp_path: Path, serve: Callable[..., Vllm], tiny_lm: Path, write: Callable[..., Path]
) -> None:
    # a prompt and its one new token share the server's context, 64 of this model
    long = DOCS[0].text * 6
    tokenizer = scoring.load_tokenizer(scoring.find(str(tiny_lm)))
    ids = tokenizer(long, add_special_tokens=False).input_ids
    cuts = [len(tokenizer.decode(ids[:n])) for n in (61, 62, 63, 64, 65)]
    docs = [Document("long", "s", long), *(Document(f"d{n}", "s", long[:n]) for n in cuts)]
    lines = [json.dumps({"doc_id": d.doc_id, "source": d.source, "text": d.text}) for d in docs]
    database = tmp_path / "long.duckdb"
    pipeline.init(database)
    pipeline.import_corpus(database, write("long.jsonl", "\n".join(lines)), "words")
    server = serve(tiny_lm)
    take(database, server)
    assert max(len(prompt) + 1 for prompt in server.prompts) <= 64
    assert {prompt[0] for prompt in server.prompts} == {tokenizer.eos_token_id}
    check_losses(stored(database, tiny_lm.name), scored(tiny_lm, docs, context=62))


# Interrupted, and asked again


def after(n: int, then: Behaviour) -> Behaviour:
    """Honest for n requests."""

    def behave(server: Vllm, body: dict[str, Any]) -> Answer:
        return (honest if len(server.bodies) <= n else then)(server, body)

    return behave


def dies(server: Vllm, body: dict[str, Any]) -> Answer:
    server.dead = True
    threading.Thread(target=server.stop).start()
    return 200, {}


def faulty(server: Vllm, body: dict[str, Any]) -> Answer:
    return 500, {"error": {"message": "CUDA error: an illegal memory access"}}


@pytest.mark.parametrize(
    ("then", "message"),
    [(faulty, "500.*CUDA error"), (dies, "refused|without response")],
)
def test_a_server_that_dies_on_the_way_is_asked_only_for_what_is_missing_next_time(
    words_db: Path,
    serve: Callable[..., Vllm],
    tiny_lm: Path,
    one_by_one: None,
    then: Behaviour,
    message: str,
) -> None:
    before = contents(words_db)
    server = serve(tiny_lm, after(len(CHECKED) + 3, then))
    with pytest.raises(ModelError, match=message) as error:
        take(words_db, server)
    assert "\n" not in str(error.value)
    assert contents(words_db) == before
    assert len(shard_files(words_db)) == 3
    server.stop()

    server.bodies.clear()
    server.behave = honest
    server.start()
    take(words_db, server)
    asked = Counter(map(tuple, server.prompts))
    assert asked == Counter(map(tuple, own_prompts(tiny_lm, [*DOCS[3:], *CHECKED])))
    check_losses(stored(words_db, tiny_lm.name), scored(tiny_lm, DOCS))


def test_a_damaged_shard_is_asked_for_again(
    words_db: Path, serve: Callable[..., Vllm], tiny_lm: Path, one_by_one: None
) -> None:
    server = serve(tiny_lm, after(len(CHECKED) + 3, faulty))
    with pytest.raises(ModelError):
        take(words_db, server)
    shard_files(words_db)[0].write_bytes(b"PAR1 but no more")
    server.bodies.clear()
    server.behave = honest
    take(words_db, server)
    assert len(server.bodies) == len(CHECKED) + len(DOCS) - 2
    check_losses(stored(words_db, tiny_lm.name), scored(tiny_lm, DOCS))


def test_another_model_behind_the_same_address_and_name_is_asked_anew(
    words_db: Path, serve: Callable[..., Vllm], three: list[str]
) -> None:
    # checkpoints of one run share their tokenizer, and many servers call whatever they serve alike
    server = serve(three[0])
    take(words_db, server)
    server.folder = Path(three[1])
    full_model(server.folder)
    take(words_db, server)
    check_losses(stored(words_db, "second"), scored(three[1], DOCS))


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_server_that_is_busy_for_a_moment_is_asked_again(
    words_db: Path, serve: Callable[..., Vllm], tiny_lm: Path, status: int
) -> None:
    def busy_at_first(server: Vllm, body: dict[str, Any]) -> Answer:
        if server.prompts.count(body["prompt"]) <= 2:
            return status, {"error": {"message": "busy"}}
        return honest(server, body)

    server = serve(tiny_lm, busy_at_first)
    take(words_db, server)
    check_losses(stored(words_db, tiny_lm.name), scored(tiny_lm, DOCS))


def test_a_server_that_stays_busy_is_given_up_with_one_sentence(
    words_db: Path, serve: Callable[..., Vllm], tiny_lm: Path
) -> None:
    server = serve(tiny_lm, lambda server, body: (503, {"error": {"message": "busy"}}))
    refused(words_db, server, "too many 503")
    assert len(server.bodies) <= len(CHECKED) * (completions.RETRIES.total + 1)


def test_a_server_that_is_not_there_is_one_sentence(
    words_db: Path, serve: Callable[..., Vllm], tiny_lm: Path
) -> None:
    server = serve(tiny_lm)
    server.stop()
    refused(words_db, server, f"{server.url} gives no answer.*Connection refused")


# Servers that are wrong


def later(server: Vllm, body: dict[str, Any]) -> Answer:
    """Each token has its successor's log-probability, as from llama-cpp-python 0.3.36."""
    none, first, *others = logs_of(honest(server, body))
    return 200, answer([none, *others, first])


def earlier(server: Vllm, body: dict[str, Any]) -> Answer:
    none, *others = logs_of(honest(server, body))
    return 200, answer([none, others[-1], *others[:-1]])


@pytest.mark.parametrize("shifted", [later, earlier])
def test_a_server_whose_log_probabilities_are_shifted_by_a_token_is_refused(
    words_db: Path, serve: Callable[..., Vllm], tiny_lm: Path, shifted: Behaviour
) -> None:
    sentence = refused(words_db, serve(tiny_lm, shifted), r"differs from .* by [\d.]+ nats a token")
    assert "--tolerance 0.02" in sentence
    assert "nothing was stored" in sentence


def test_a_server_of_another_model_is_refused(
    words_db: Path, serve: Callable[..., Vllm], three: list[str]
) -> None:
    refused(words_db, serve(three[0]), "nats a token", reference=three[1])


def test_the_tolerance_is_the_mean_difference_a_server_may_have(
    words_db: Path, serve: Callable[..., Vllm], tiny_lm: Path
) -> None:
    def rounded(server: Vllm, body: dict[str, Any]) -> Answer:
        none, *others = logs_of(honest(server, body))
        return 200, answer([none, *(log - 0.008 for log in others)])

    server = serve(tiny_lm, rounded)
    sentence = refused(words_db, server, "--tolerance 0.007", tolerance=0.007)
    assert "by 0.008 nats a token" in sentence
    take(words_db, server)
    with store.connect(words_db, read_only=True) as db:
        made = store.manifests(db, "words")[tiny_lm.name]
    assert made is not None
    assert made["apart"] == pytest.approx(0.008, abs=1e-4)


def with_logs(change: Callable[[list[Any]], list[Any] | None]) -> Behaviour:
    """Honest but for the log-probabilities."""
    return lambda server, body: (200, answer(change(logs_of(honest(server, body)))))


@pytest.mark.parametrize(
    ("behave", "message"),
    [
        pytest.param(with_logs(lambda logs: logs[-1:]), "1 log-prob.* `echo`", id="no-echo"),
        pytest.param(with_logs(lambda logs: []), "0 log-prob.* `echo`", id="none-at-all"),
        pytest.param(with_logs(lambda logs: None), "no token_logprobs.*`logprobs`", id="null"),
        pytest.param(
            with_logs(lambda logs: [*logs[:3], None, *logs[4:]]), "some tokens empty", id="gap"
        ),
        pytest.param(
            with_logs(lambda logs: [*logs[:3], float("nan"), *logs[4:]]), "not a number", id="nan"
        ),
        pytest.param(
            with_logs(lambda logs: [*logs[:3], -np.inf, *logs[4:]]), "not a number", id="infinite"
        ),
        pytest.param(
            with_logs(lambda logs: [{"logprob": log} for log in logs]), "log", id="objects"
        ),
        pytest.param(lambda s, b: (200, {"choices": []}), "no token_logprobs", id="no-choice"),
        pytest.param(lambda s, b: (200, {"choices": [{}]}), "no token_logprobs", id="no-logprobs"),
        pytest.param(lambda s, b: (200, []), "no token_logprobs", id="a-list"),
        pytest.param(lambda s, b: (200, b"<html>hello"), "cannot be read|can be read", id="html"),
        pytest.param(lambda s, b: (200, b""), "cannot be read|can be read", id="nothing"),
        pytest.param(
            lambda s, b: (422, {"detail": [{"msg": "Input should be a valid string"}]}),
            "refuses a prompt of token ids.*422.*valid string",
            id="text-only",
        ),
    ],
)
def test_a_server_that_cannot_do_it_is_refused_in_one_sentence_that_says_why(
    words_db: Path,
    serve: Callable[..., Vllm],
    tiny_lm: Path,
    behave: Behaviour,
    message: str,
) -> None:
    server = serve(tiny_lm, behave)
    assert server.url in refused(words_db, server, message) or "not a number" in message


@pytest.mark.parametrize(
    ("status", "reason"),
    [(401, "Unauthorized"), (404, "The model `served-name` does not exist"), (500, "CUDA error")],
)
def test_another_refusal_carries_the_servers_reason_and_does_not_blame_the_token_ids(
    words_db: Path, serve: Callable[..., Vllm], tiny_lm: Path, status: int, reason: str
) -> None:
    server = serve(tiny_lm, lambda s, b: (status, {"error": {"message": reason}}))
    assert "token ids" not in refused(words_db, server, f"{status}.*{reason}")


def test_a_key_that_no_header_can_hold_is_refused_and_not_shown(
    words_db: Path, serve: Callable[..., Vllm], tiny_lm: Path
) -> None:
    server = serve(tiny_lm)
    assert KEY not in refused(words_db, server, ".", key=f"{KEY}\n{KEY}")


@pytest.mark.parametrize("url", ["localhost:8000/v1", "ftp://localhost/v1", "", "8000"])
def test_what_is_no_address_is_refused_before_a_model_is_loaded(
    words_db: Path, tiny_lm: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "load", lambda *_: pytest.fail("a model was loaded"))
    with pytest.raises(InputError, match=r"is not an address; give one such as http://"):
        pipeline.import_completions(words_db, "words", ServerConfig(url, "x", str(tiny_lm)))


def test_a_name_that_has_losses_is_refused_and_no_server_asked(
    words_db: Path, serve: Callable[..., Vllm], tiny_lm: Path
) -> None:
    server = serve(tiny_lm)
    take(words_db, server)
    server.bodies.clear()
    before = contents(words_db)
    with pytest.raises(InputError, match=f"losses of {tiny_lm.name} on words are stored.*--name"):
        take(words_db, server)
    assert server.bodies == []
    assert contents(words_db) == before
    take(words_db, server, name="again")
    assert len(server.bodies) == len(CHECKED)  # the rest was not asked for again
    check_losses(stored(words_db, "again"), scored(tiny_lm, DOCS))


def test_an_unknown_corpus_is_refused(
    words_db: Path, serve: Callable[..., Vllm], tiny_lm: Path
) -> None:
    with pytest.raises(InputError, match="there is no corpus 'wrods'; stored: words"):
        pipeline.import_completions(words_db, "wrods", wanted(serve(tiny_lm)))


# The command


@pytest.fixture
def csvcore(words_db: Path) -> Callable[..., Result]:
    def run(server: Vllm, *arguments: str, **env: str) -> Result:
        command = ["--db", str(words_db), "import", "completions", server.url]
        command += ["--served", "served-name", "--reference", str(server.folder)]
        return CliRunner().invoke(cli.main, [*command, "--corpus", "words", *arguments], env=env)

    return run


def test_the_command_stores_the_losses_and_says_so_in_one_line(
    words_db: Path, serve: Callable[..., Vllm], tiny_lm: Path, csvcore: Callable[..., Result]
) -> None:
    server = serve(tiny_lm)
    done = csvcore(server, "--name", "from-afar", "--tolerance", "0.001", "--key", KEY)
    assert done.exit_code == 0, done.output
    [line] = done.stdout.splitlines()
    assert line.startswith(f"from-afar: {len(DOCS)} documents from {server.url}")
    assert set(server.keys) == {f"Bearer {KEY}"}
    check_losses(stored(words_db, "from-afar"), scored(tiny_lm, DOCS))


def test_the_command_takes_the_key_from_the_environment(
    serve: Callable[..., Vllm], tiny_lm: Path, csvcore: Callable[..., Result]
) -> None:
    server = serve(tiny_lm)
    done = csvcore(server, OPENAI_API_KEY=KEY)
    assert done.exit_code == 0, done.output
    assert set(server.keys) == {f"Bearer {KEY}"}
    assert KEY not in done.output


def test_the_command_refuses_in_one_line_with_status_1(
    words_db: Path, serve: Callable[..., Vllm], tiny_lm: Path, csvcore: Callable[..., Result]
) -> None:
    before = contents(words_db)
    done = csvcore(serve(tiny_lm, later))
    assert done.exit_code == 1
    assert done.stdout == ""
    [line] = done.stderr.splitlines()
    assert line.startswith("csvcore: ")
    assert "nats a token" in line
    assert contents(words_db) == before
