"""Demand, read from real processes that wait at a real rwlock."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from rota.gpu.demand import BELIEVED, FOREIGN, LET_IN, ProcessDemand
from rota.gpu.processes import started

PATIENCE = 30.0

PROGRAM = """
import ctypes, itertools, json, select, sys, threading, time
from rota.emulation.rwlock import RwLock
gate, own, stop = RwLock(), RwLock(), threading.Event()
libc, mutex = ctypes.CDLL(None), ctypes.create_string_buffer(64)

def want_mutex():
    libc.pthread_mutex_lock(mutex)
    libc.pthread_mutex_unlock(mutex)
    time.sleep(1000)

def start(what, count=1):
    for _ in range(count):
        threading.Thread(target=what, daemon=True).start()

def use(lock):
    with lock.reading():
        pass

def use_and_stay(lock):
    use(lock)
    time.sleep(1000)

def spin_after(lock):
    use(lock)
    while not stop.is_set():
        pass

def serve(lock):
    use(lock)
    select.epoll().poll(1000)

for line in sys.stdin:
    print(json.dumps(repr(eval(line))), flush=True)
"""


class Program:
    """A process with a gate, told what to do line by line. Its main thread holds the gate."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.do("gate.take(30)")
        when = started(self.process.pid)
        assert when is not None
        self.started = when

    def do(self, code: str) -> str:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(code + "\n")
        self.process.stdin.flush()
        return str(json.loads(self.process.stdout.readline()))

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            assert stream
            stream.close()


@pytest.fixture
def program() -> Iterator[Program]:
    """Its gate is closed."""
    one = Program()
    yield one
    one.end()


@pytest.fixture
def demand(program: Program) -> Iterator[ProcessDemand]:
    reader = ProcessDemand(program.process.pid, program.started)
    yield reader
    reader.close()


@dataclass
class Clock:
    """The time, as a test wants it."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """It stands until it is moved."""
    return Clock()


@pytest.fixture
def timed(program: Program, clock: Clock) -> Iterator[ProcessDemand]:
    """A reader that goes by that clock."""
    reader = ProcessDemand(program.process.pid, program.started, clock=clock)
    yield reader
    reader.close()


@pytest.fixture
def disowned(program: Program, timed: ProcessDemand, clock: Clock) -> ProcessDemand:
    """It has taken the gate for a lock of the program's own, by mistake."""
    program.do("start(lambda: use_and_stay(gate))")
    eventually(timed.wants)
    timed.asleep()
    clock.now = 2 * LET_IN
    timed.asleep()
    assert holds(lambda: not timed.wants())
    return timed


def eventually(condition: Callable[[], Any]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)


def holds(condition: Callable[[], Any], looks: int = 20) -> bool:
    """It is so at each of many looks."""
    return all(condition() for _ in range(looks))


def test_a_thread_at_the_closed_gate_is_demand(program: Program, demand: ProcessDemand) -> None:
    assert holds(lambda: not demand.wants())
    program.do("start(lambda: use_and_stay(gate))")
    eventually(demand.wants)
    assert holds(demand.wants)
    program.do("gate.give()")
    eventually(demand.asleep)
    program.do("gate.take(30)")
    assert holds(lambda: not demand.wants())


def test_a_server_that_waits_for_requests_is_idle_open_and_closed(
    program: Program, demand: ProcessDemand
) -> None:
    program.do("start(lambda: serve(gate))")
    eventually(demand.wants)
    program.do("gate.give()")
    eventually(lambda: holds(demand.asleep))
    program.do("gate.take(30)")
    assert holds(lambda: not demand.wants())


def test_an_open_process_whose_cuda_thread_runs_is_awake(
    program: Program, demand: ProcessDemand
) -> None:
    program.do("start(lambda: spin_after(gate))")
    eventually(demand.wants)
    program.do("gate.give()")
    eventually(lambda: holds(lambda: not demand.asleep()))
    program.do("stop.set()")
    eventually(lambda: holds(demand.asleep))


def test_a_thread_that_runs_but_never_came_to_the_gate_is_no_matter_of_the_gpu(
    program: Program, demand: ProcessDemand
) -> None:
    program.do("start(lambda: use_and_stay(gate))")
    eventually(demand.wants)
    program.do("start(lambda: spin_after(own))")
    program.do("gate.give()")
    eventually(lambda: holds(demand.asleep))


def test_as_long_as_no_cuda_thread_is_known_any_thread_may_be_one(
    program: Program, demand: ProcessDemand
) -> None:
    program.do("gate.give()")
    eventually(lambda: holds(demand.asleep))
    program.do("start(lambda: spin_after(gate))")
    eventually(lambda: not demand.asleep())


def test_a_program_s_own_rwlock_is_learned_and_not_taken_for_the_gate(
    program: Program, timed: ProcessDemand, clock: Clock
) -> None:
    program.do("gate.give(), own.take(30), start(lambda: use(own))")
    eventually(timed.wants)
    assert not timed.asleep()
    clock.now = 2 * LET_IN
    assert timed.asleep()
    program.do("gate.take(30)")
    assert holds(lambda: not timed.wants())
    program.do("start(lambda: use_and_stay(gate))")
    eventually(timed.wants)


def test_a_lock_is_not_taken_for_the_program_s_own_for_ever(
    disowned: ProcessDemand, clock: Clock
) -> None:
    clock.now += FOREIGN
    assert disowned.wants()


def test_a_lock_that_was_disowned_by_mistake_keeps_its_client_out_for_a_moment_only(
    disowned: ProcessDemand, clock: Clock
) -> None:
    clock.now += BELIEVED
    assert disowned.wants()


def test_who_waits_for_a_mutex_that_is_held_behind_the_gate_wants_the_gpu(
    program: Program, demand: ProcessDemand
) -> None:
    program.do("libc.pthread_mutex_lock(mutex), start(want_mutex)")
    eventually(demand.wants)
    assert demand.at_rest()
    program.do("libc.pthread_mutex_unlock(mutex)")
    eventually(lambda: holds(lambda: not demand.wants()))


def test_who_is_seen_at_a_mutex_once_does_not_want_the_gpu_for_all_that_is_known(
    program: Program,
) -> None:
    program.do("libc.pthread_mutex_lock(mutex), start(want_mutex)")
    for _ in range(2):
        demand = ProcessDemand(program.process.pid, program.started)
        eventually(demand.wants)
        fresh = ProcessDemand(program.process.pid, program.started)
        assert not fresh.wants()
        eventually(fresh.wants)
        demand.close()
        fresh.close()


def test_a_thread_that_is_slow_to_be_let_in_does_not_disown_the_gate(
    program: Program, timed: ProcessDemand, clock: Clock
) -> None:
    program.do("start(lambda: use_and_stay(gate))")
    eventually(timed.wants)
    for _ in range(5):
        assert not timed.asleep()
        clock.now += LET_IN / 5
    assert timed.wants()


def test_a_process_that_was_just_let_in_is_not_asleep(
    program: Program, demand: ProcessDemand
) -> None:
    program.do("start(lambda: use_and_stay(gate))")
    eventually(demand.wants)
    assert not demand.asleep()


def test_one_waiter_is_found_among_two_hundred_threads(
    program: Program, demand: ProcessDemand
) -> None:
    program.do("start(lambda: time.sleep(1000), 200)")
    assert holds(lambda: not demand.wants())
    program.do("start(lambda: use_and_stay(gate))")
    eventually(demand.wants)
    assert holds(demand.wants)


def test_a_thread_that_has_long_been_there_is_found_when_it_comes_to_the_gate(
    program: Program, demand: ProcessDemand
) -> None:
    program.do("start(lambda: (stop.wait(), use(gate)))")
    program.do("start(lambda: time.sleep(1000), 100)")
    assert holds(lambda: not demand.wants(), 100)
    program.do("stop.set()")
    eventually(demand.wants)


def test_threads_come_and_go(program: Program, demand: ProcessDemand) -> None:
    for _ in range(5):
        program.do("start(lambda: use(gate), 10)")
        eventually(demand.wants)
        program.do("gate.give()")
        eventually(demand.asleep)
        eventually(lambda: program.do("threading.active_count()") == "1")
        program.do("gate.take(30)")
        eventually(lambda: holds(lambda: not demand.wants()))


def test_a_process_that_ends_in_mid_read_wants_nothing(program: Program) -> None:
    demand = ProcessDemand(program.process.pid, program.started)
    program.do("start(lambda: use(gate), 50)")
    eventually(demand.wants)
    program.process.kill()
    eventually(lambda: not demand.wants())
    program.process.wait()
    assert not demand.wants()
    assert demand.asleep()
    assert demand.ended
    assert demand.readable()
    demand.close()


def test_another_process_with_the_same_pid_is_not_read(program: Program) -> None:
    program.do("start(lambda: use(gate))")
    demand = ProcessDemand(program.process.pid, program.started - 1)
    assert demand.ended
    assert not demand.wants()
    demand.close()


def test_it_is_known_whether_proc_can_be_read(program: Program, demand: ProcessDemand) -> None:
    assert demand.readable()
    if os.geteuid() != 0:
        return
    code = (
        "import os; from rota.gpu.demand import ProcessDemand; os.setgid(65534); os.setuid(65534); "
        f"one = ProcessDemand({program.process.pid}, {program.started}); "
        "print(one.readable(), one.wants(), one.ended)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["False", "False", "False"]
