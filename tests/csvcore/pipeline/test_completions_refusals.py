from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from csvcore import cli, lm, store
from csvcore.errors import InputError
from csvcore.pipeline import completions
from csvcore.pipeline.completions import ServerConfig
from tests.support.servers import (
    CHECKED,
    KEY,
    Answer,
    Behaviour,
    Vllm,
    answer,
    check_losses,
    earlier,
    honest,
    later,
    logs_of,
    refused,
    scored,
    stored,
    take,
    wanted,
)
from tests.support.world import DOCS, contents


@pytest.mark.parametrize("shifted", [later, earlier])
def test_a_server_whose_log_probabilities_are_shifted_by_a_token_is_refused(
    words_db: Path, serve: Callable[..., Vllm], tiny_lm: Path, shifted: Behaviour
) -> None:
    sentence = refused(words_db, serve(tiny_lm, shifted), r"differs from .* by [\d.]+ nats a token")
    assert "--tolerance 0.02" in sentence
    assert "nothing was stored" in sentence


def test_a_server_of_another_model_is_refused(
    words_db: Path, serve: Callable[..., Vllm], three_models: list[str]
) -> None:
    refused(words_db, serve(three_models[0]), "nats a token", reference=three_models[1])


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
    assert made.apart == pytest.approx(0.008, abs=1e-4)


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
            with_logs(lambda logs: [{"logprob": log} for log in logs]), "no numbers", id="objects"
        ),
        pytest.param(lambda s, b: (200, {"choices": []}), "no token_logprobs", id="no-choice"),
        pytest.param(lambda s, b: (200, {"choices": [{}]}), "no token_logprobs", id="no-logprobs"),
        pytest.param(lambda s, b: (200, []), "no token_logprobs", id="a-list"),
        pytest.param(lambda s, b: (200, b"<html>hello"), "no answer that can be read", id="html"),
        pytest.param(lambda s, b: (200, b""), "no answer that can be read", id="nothing"),
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
    who = server.folder.name if message == "not a number" else server.url
    assert refused(words_db, server, message).startswith(f"{who} ")


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
    monkeypatch.setattr(lm, "load", lambda *_: pytest.fail("a model was loaded"))
    with pytest.raises(InputError, match=r"is not an address; give one such as http://"):
        completions.import_completions(words_db, "words", ServerConfig(url, "x", str(tiny_lm)))


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
        completions.import_completions(words_db, "wrods", wanted(serve(tiny_lm)))


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
