"""Token losses from an OpenAI-compatible server, through `echo` and `logprobs`.

Some servers return wrong values without an error, so `pipeline.import_completions` first compares
two documents with the model itself.
"""

import math
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
import requests
from numpy.typing import NDArray
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from csvcore import values
from csvcore.errors import InputError, ModelError, reason
from csvcore.formats.outside import json_value
from csvcore.lm import Segment

AT_ONCE = 8  # requests, so that the server can batch
SECONDS = 600.0  # for one of them to begin its answer, and between two parts of it
TOTAL_SECONDS = 1800.0  # for one of them with its repetitions
LARGEST_ANSWER = 256 << 20  # bytes
LARGEST = 1e30  # nats, so that a log-probability fits in a float32
RETRIES = Retry(
    total=5, backoff_factor=1.0, status_forcelist=(429, 502, 503, 504), allowed_methods=("POST",)
)


class Server:
    """A server's `/v1/completions` endpoint for one model."""

    def __init__(self, url: str, model: str, key: str | None = None) -> None:
        """Take the base address, without `/completions`, and the model's name on the server."""
        if not url.startswith(("http://", "https://")):
            raise InputError(f"{url} is not an address; give one such as http://localhost:8000/v1")
        self.url = url.rstrip("/").removesuffix("/completions")
        self.model = model
        self._session = requests.Session()
        self._session.mount("http://", HTTPAdapter(max_retries=RETRIES, pool_maxsize=AT_ONCE))
        self._session.mount("https://", HTTPAdapter(max_retries=RETRIES, pool_maxsize=AT_ONCE))
        if key and not (key.isascii() and key.isprintable()):
            raise ModelError("the server's key has characters that no header can hold")
        if key:
            self._session.headers["Authorization"] = f"Bearer {key}"

    def nll(self, segments: Sequence[Segment]) -> list[NDArray[np.float32]]:
        """Return nats of each segment's targets; segments are sent concurrently.

        Raises:
            ModelError: the server cannot be reached, takes no token ids, or does not return a
                log-probability for every token.
        """
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return list(pool.map(self._segment_nll, segments))

    def _segment_nll(self, segment: Segment) -> NDArray[np.float32]:
        prompt = [*segment.inputs.tolist(), int(segment.targets[-1])]
        logs = self._log_probabilities(prompt)
        if len(logs) < len(prompt):
            raise ModelError(
                f"{self.url} returned {len(logs)} log-probabilities for {len(prompt)} tokens; "
                "it has to support `echo` with `logprobs`"
            )
        wanted = logs[len(prompt) - segment.targets.size : len(prompt)]
        if any(log is None for log in wanted):
            raise ModelError(f"{self.url} leaves the log-probability of some tokens empty")
        if not all(values.is_number(log) and not LARGEST <= abs(log) < math.inf for log in wanted):
            raise ModelError(f"{self.url} returned log-probabilities that are no numbers")
        return -np.array(wanted, dtype=np.float32)

    def _log_probabilities(self, prompt: list[int]) -> list[Any]:
        body: dict[str, Any] = {
            "model": self.model,
            "prompt": prompt,
            "max_tokens": 1,  # 0 means without end to some servers
            "temperature": 0,
            "echo": True,
            "logprobs": 1,
        }
        try:
            status, answer = within(TOTAL_SECONDS, lambda: self._post(body))
            content = json_value(answer, "the answer")
        except (requests.RequestException, TimeoutError, ValueError, InputError) as error:
            raise ModelError(
                f"{self.url} gives no answer that can be read: {reason(error)}"
            ) from error
        if not 200 <= status < 400:
            what = "a prompt of token ids" if status in (400, 422) else "the request"
            raise ModelError(
                f"{self.url} refuses {what} (status {status}): {values.quoted(content)}"
            )
        try:
            return list(content["choices"][0]["logprobs"]["token_logprobs"])
        except (KeyError, IndexError, TypeError) as error:
            raise ModelError(
                f"{self.url} returned no token_logprobs; it has to support `echo` with `logprobs`"
            ) from error

    def _post(self, body: dict[str, Any]) -> tuple[int, bytes]:
        """Return the status and the content of the answer to a request."""
        content = bytearray()
        with self._session.post(
            f"{self.url}/completions", json=body, timeout=SECONDS, stream=True
        ) as answer:
            for part in answer.iter_content(1 << 20):
                content += part
                if len(content) > LARGEST_ANSWER:
                    raise ValueError(f"it is larger than {LARGEST_ANSWER >> 20} MB")
        return answer.status_code, bytes(content)


Answer = TypeVar("Answer")


def within(seconds: float, call: Callable[[], Answer]) -> Answer:
    """Return what a call returns, or give it up after some seconds, wherever it hangs.

    A server that sends a byte now and then passes every time limit of a socket. The call then goes
    on in its thread, which ends with the program.

    Raises:
        TimeoutError: it took longer.
    """
    outcome: Future[Answer] = Future()

    def run() -> None:
        try:
            outcome.set_result(call())
        except Exception as error:  # raised again below, by result
            outcome.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    try:
        return outcome.result(seconds)
    except TimeoutError as error:
        raise TimeoutError(f"it took more than {seconds:g} s") from error
