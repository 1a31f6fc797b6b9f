"""Token losses from an OpenAI-compatible server, through `echo` and `logprobs`.

Some servers return wrong values without an error, so `pipeline.import_completions` first compares
two documents with the model itself.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import requests
from numpy.typing import NDArray
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from csvcore.errors import InputError, ModelError
from csvcore.lm import Segment

AT_ONCE = 8  # requests, so that the server can batch
SECONDS = 600.0  # for one of them
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
        try:
            return -np.array(wanted, dtype=np.float32)
        except (TypeError, ValueError) as error:
            raise ModelError(
                f"{self.url} returned log-probabilities that are no numbers"
            ) from error

    def _log_probabilities(self, prompt: list[int]) -> list[float | None]:
        body: dict[str, Any] = {
            "model": self.model,
            "prompt": prompt,
            "max_tokens": 1,  # 0 means without end to some servers
            "temperature": 0,
            "echo": True,
            "logprobs": 1,
        }
        try:
            answer = self._session.post(f"{self.url}/completions", json=body, timeout=SECONDS)
            content: Any = answer.json()
        except (requests.RequestException, ValueError) as error:
            reason = str(error).strip().split("\n")[0]
            raise ModelError(f"{self.url} gives no answer that can be read: {reason}") from error
        if not answer.ok:
            what = "a prompt of token ids" if answer.status_code in (400, 422) else "the request"
            raise ModelError(
                f"{self.url} refuses {what} (status {answer.status_code}): {str(content)[:200]}"
            )
        try:
            return list(content["choices"][0]["logprobs"]["token_logprobs"])
        except (KeyError, IndexError, TypeError) as error:
            raise ModelError(
                f"{self.url} returned no token_logprobs; it has to support `echo` with `logprobs`"
            ) from error
