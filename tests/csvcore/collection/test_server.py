import socket
import threading
import time

import numpy as np
import pytest

from csvcore.collection import server
from csvcore.collection.server import Server, within
from csvcore.errors import ModelError
from csvcore.lm import Segment


def test_a_call_in_time_gives_what_it_gives() -> None:
    assert within(5, lambda: 7) == 7
    with pytest.raises(KeyError):
        within(5, lambda: {}["x"])


def test_a_server_that_trickles_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte of the header at a time: no time limit of a socket ever passes."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def trickle() -> None:
            with listener.accept()[0] as peer:
                while not over.wait(0.1):
                    peer.sendall(b"H")

        thread = threading.Thread(target=trickle)
        thread.start()
        monkeypatch.setattr(server, "TOTAL_SECONDS", 1.0)
        segment = Segment(np.array([1, 2]), np.array([2, 3]))
        started = time.monotonic()
        try:
            with pytest.raises(
                ModelError, match="no answer that can be read: it took more than 1 s"
            ):
                Server(f"http://127.0.0.1:{listener.getsockname()[1]}/v1", "m").nll([segment])
            assert time.monotonic() - started < 10
        finally:
            over.set()
            thread.join()
