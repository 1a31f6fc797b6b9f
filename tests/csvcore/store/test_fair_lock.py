"""The lock's laws: one at a time, first come first served, and the dead are in nobody's way."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from csvcore.store import fair_lock

pytestmark = pytest.mark.worker
DEADLINE = 60.0
# Takes the lock in turns, notes each in a file, and holds it until a file of its name is there. Who
# has a small letter shares it.
TAKES_TURNS = """
import os, runpy, sys, time
from pathlib import Path

lock, name, turns = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
held = runpy.run_path(sys.argv[4])["held"]  # alone, without all that the package imports
shared = name.islower()
for _ in range(turns):
    with held(lock, 60.0, shared):
        if not shared:  # nobody else is inside
            os.close(os.open(lock.with_name("inside"), os.O_CREAT | os.O_EXCL))
        assert shared != lock.with_name("inside").exists()
        with lock.with_name("turns").open("a") as turns_taken:
            turns_taken.write(name)
        while turns == 1 and not lock.with_name(f"{name} may go").exists():
            time.sleep(0.005)
        if not shared:
            lock.with_name("inside").unlink()
"""


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / "db.lock"


@pytest.fixture
def started(lock: Path) -> "Iterator[list[subprocess.Popen[bytes]]]":
    processes: list[subprocess.Popen[bytes]] = []
    yield processes
    for process in processes:
        process.kill()
        process.wait(DEADLINE)


def start(
    started: "list[subprocess.Popen[bytes]]", lock: Path, name: str, turns: int = 1
) -> "subprocess.Popen[bytes]":
    words = [str(lock), name, str(turns), fair_lock.__file__]
    process = subprocess.Popen([sys.executable, "-c", TAKES_TURNS, *words])
    started.append(process)
    return process


def places(lock: Path) -> int:
    """Return the number of the last place that is taken; 0 in an empty queue."""
    file = os.open(lock, os.O_RDWR | os.O_CREAT)
    try:
        return fair_lock._end(file, fair_lock.FIRST) - fair_lock.FIRST
    finally:
        os.close(file)


def until(condition: object, *arguments: object) -> None:
    assert callable(condition)
    ends = time.monotonic() + DEADLINE
    while not condition(*arguments):
        assert time.monotonic() < ends
        time.sleep(0.005)


def queue_of(started: "list[subprocess.Popen[bytes]]", lock: Path, names: str) -> None:
    """Let the first hold the lock and the others wait for it, in this order."""
    for number, name in enumerate(names, 1):
        start(started, lock, name)
        until(lambda number=number: places(lock) == number)
    until(lambda: taken(lock) == names[0])


def taken(lock: Path) -> str:
    turns = lock.with_name("turns")
    return turns.read_text() if turns.exists() else ""


def let_go(lock: Path, names: str) -> None:
    for name in names:
        lock.with_name(f"{name} may go").touch()


def test_who_waits_gets_it_in_the_order_of_arrival(
    lock: Path, started: "list[subprocess.Popen[bytes]]"
) -> None:
    queue_of(started, lock, "DBEAC")
    let_go(lock, "ABCDE")
    assert [process.wait(DEADLINE) for process in started] == [0] * 5
    assert taken(lock) == "DBEAC"


def test_those_who_share_it_have_it_together_and_let_nobody_wait_behind_them_for_ever(
    lock: Path, started: "list[subprocess.Popen[bytes]]"
) -> None:
    start(started, lock, "a")
    until(lambda: taken(lock) == "a")
    start(started, lock, "b")
    until(lambda: taken(lock) == "ab")  # beside a
    start(started, lock, "C")
    until(lambda: places(lock) == 3)
    start(started, lock, "d")  # waits behind C, though a and b would share it
    until(lambda: places(lock) == 4)
    let_go(lock, "a")
    assert started[0].wait(DEADLINE) == 0
    assert taken(lock) == "ab"
    let_go(lock, "bCd")
    assert [process.wait(DEADLINE) for process in started[1:]] == [0] * 3
    assert taken(lock) == "abCd"


def test_a_killed_waiter_stands_in_nobodys_way(
    lock: Path, started: "list[subprocess.Popen[bytes]]"
) -> None:
    queue_of(started, lock, "ABCD")
    for process in started[1:3]:
        process.kill()
        assert process.wait(DEADLINE) == -signal.SIGKILL
    let_go(lock, "AD")
    assert [started[at].wait(DEADLINE) for at in (0, 3)] == [0, 0]
    assert taken(lock) == "AD"


def test_a_killed_holder_makes_room_for_the_next(
    lock: Path, started: "list[subprocess.Popen[bytes]]"
) -> None:
    queue_of(started, lock, "ABC")
    until(lambda: taken(lock) == "A")
    lock.with_name("inside").unlink()  # which it cannot do itself
    started[0].kill()
    let_go(lock, "BC")
    assert [process.wait(DEADLINE) for process in started[1:]] == [0, 0]
    assert taken(lock) == "ABC"


def test_the_killed_leave_the_lock_file_alone_behind_and_an_empty_queue(
    lock: Path, started: "list[subprocess.Popen[bytes]]"
) -> None:
    queue_of(started, lock, "ABC")
    assert fair_lock.is_held(lock)
    for process in started:
        process.kill()
        process.wait(DEADLINE)
    assert not fair_lock.is_held(lock)
    assert lock.stat().st_size == 0
    assert sorted(path.name for path in lock.parent.iterdir()) == ["db.lock", "inside", "turns"]


def test_processes_that_crowd_are_never_in_it_together_and_each_gets_all_its_turns(
    lock: Path, started: "list[subprocess.Popen[bytes]]"
) -> None:
    for name in "AbCd":
        start(started, lock, name, turns=200)
    assert [process.wait(DEADLINE) for process in started] == [0] * 4
    assert sorted(taken(lock)) == sorted("AbCd" * 200)


def test_who_waits_too_long_goes_and_holds_up_nobody(
    lock: Path, started: "list[subprocess.Popen[bytes]]"
) -> None:
    queue_of(started, lock, "A")
    begun = time.monotonic()
    with pytest.raises(TimeoutError), fair_lock.held(lock, 0.2):
        pytest.fail("it was held by two")
    assert 0.2 <= time.monotonic() - begun < DEADLINE
    assert places(lock) == 1


def test_threads_of_one_process_take_turns_as_processes_do(lock: Path) -> None:
    inside, most = 0, 0

    def take() -> None:
        nonlocal inside, most
        with fair_lock.held(lock, DEADLINE):
            inside += 1
            most = max(most, inside)
            time.sleep(0.01)
            inside -= 1

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    assert (inside, most) == (0, 1)


def test_a_block_that_fails_gives_the_lock_back(lock: Path) -> None:
    with pytest.raises(ZeroDivisionError), fair_lock.held(lock, 1.0):
        raise ZeroDivisionError
    assert not fair_lock.is_held(lock)


def test_a_child_that_outlives_the_block_does_not_keep_the_lock(lock: Path) -> None:
    with fair_lock.held(lock, 1.0):
        pid = os.fork()
        if pid == 0:
            time.sleep(DEADLINE)
            os._exit(0)
    try:
        assert not fair_lock.is_held(lock)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
