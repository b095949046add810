"""The C library's rwlock from Python."""

from __future__ import annotations

import threading

from rota.emulation.rwlock import RwLock


def test_readers_share() -> None:
    lock = RwLock()
    both = threading.Barrier(2, timeout=30)

    def read() -> None:
        with lock.reading():
            both.wait()

    thread = threading.Thread(target=read)
    thread.start()
    read()
    thread.join()


def test_a_writer_waits_for_readers_as_long_as_it_has_patience() -> None:
    lock = RwLock()
    with lock.reading():
        assert not lock.take(0.01)
    assert lock.take(0.01)
    lock.give()


def test_a_reader_waits_for_the_writer() -> None:
    lock = RwLock()
    assert lock.take(1.0)
    inside = threading.Event()

    def read() -> None:
        with lock.reading():
            inside.set()

    thread = threading.Thread(target=read)
    thread.start()
    assert not inside.wait(0.02)
    lock.give()
    assert inside.wait(30.0)
    thread.join()


def test_a_writer_that_gives_up_leaves_the_way_to_new_readers() -> None:
    lock = RwLock()
    entered = threading.Event()

    def read() -> None:
        with lock.reading():
            entered.set()

    with lock.reading():
        late = threading.Thread(target=read)
        taker = threading.Thread(target=lock.take, args=(0.05,))
        taker.start()
        late.start()
        taker.join()
        assert entered.wait(30.0)
        late.join()
