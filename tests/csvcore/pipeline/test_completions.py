import json
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from csvcore import lm, store
from csvcore.collection.server import RETRIES
from csvcore.errors import ModelError
from csvcore.formats import loss_packs
from csvcore.pipeline import imports
from csvcore.pipeline.completions import import_completions
from csvcore.records import Document
from tests.support.servers import (
    CHECKED,
    KEY,
    Answer,
    Behaviour,
    Vllm,
    check_losses,
    full_model,
    honest,
    loaded,
    refused,
    scored,
    shard_files,
    stored,
    take,
    wanted,
)
from tests.support.world import DOCS, contents

pytestmark = pytest.mark.slow


def own_prompts(folder: Path, docs: Sequence[Document]) -> list[list[int]]:
    """Prefix and tokens of each document, from the tokenizer itself."""
    model = loaded(folder)
    prefix = model.tokenizer.bos_token_id
    prefix = model.tokenizer.eos_token_id if prefix is None else prefix
    return [
        [prefix, *model.tokenizer(doc.text, add_special_tokens=False).input_ids] for doc in docs
    ]


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
    model = loaded(tiny_lm)
    assert made is not None
    assert (made.engine, made.served) == ("completions", "served-name")
    assert made.tokenizer_sha256 == model.tokenizer_sha256
    assert made.weights_sha256 == model.weights_sha256
    assert made.prefix == model.manifest().prefix
    assert made.apart is not None
    assert 0 <= made.apart < 1e-4
    assert f"{made.apart:.2g} nats a token apart" in message
    assert (card.model, card.family, card.n_params) == (
        "served",
        "gpt2",
        model.model.num_parameters(),
    )


def test_a_card_that_is_known_stays_as_it_is(
    words_db: Path, serve: Callable[..., Vllm], tiny_lm: Path, write: Callable[..., Path]
) -> None:
    imports.import_models(words_db, write("models.csv", f"model,family\n{tiny_lm.name},mine\n"))
    take(words_db, serve(tiny_lm))
    with store.connect(words_db, read_only=True) as db:
        assert [(card.model, card.family) for card in store.models(db)] == [(tiny_lm.name, "mine")]


def test_progress_runs_from_nothing_to_all_shards(
    words_db: Path, serve: Callable[..., Vllm], tiny_lm: Path, one_by_one: None
) -> None:
    seen: list[tuple[int, int]] = []
    import_completions(
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
        assert KEY not in repr(loss_packs.decode(file.name, file.read_bytes()))


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
    tokenizer = lm.load_tokenizer(lm.find(str(tiny_lm)))
    ids = tokenizer(long, add_special_tokens=False).input_ids
    cuts = [len(tokenizer.decode(ids[:n])) for n in (61, 62, 63, 64, 65)]
    docs = [Document("long", "s", long), *(Document(f"d{n}", "s", long[:n]) for n in cuts)]
    lines = [json.dumps({"doc_id": d.doc_id, "source": d.source, "text": d.text}) for d in docs]
    database = tmp_path / "long.duckdb"
    imports.init(database)
    imports.import_corpus(database, write("long.jsonl", "\n".join(lines)), "words")
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
    words_db: Path, serve: Callable[..., Vllm], three_models: list[str]
) -> None:
    # checkpoints of one run share their tokenizer, and many servers call whatever they serve alike
    server = serve(three_models[0])
    take(words_db, server)
    server.folder = Path(three_models[1])
    full_model(server.folder)
    take(words_db, server)
    check_losses(stored(words_db, "second"), scored(three_models[1], DOCS))


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
    assert len(server.bodies) <= len(CHECKED) * (RETRIES.total + 1)


def test_a_server_that_is_not_there_is_one_sentence(
    words_db: Path, serve: Callable[..., Vllm], tiny_lm: Path
) -> None:
    server = serve(tiny_lm)
    server.stop()
    refused(words_db, server, f"{server.url} gives no answer.*Connection refused")
