"""A recording holds what an agent told from its first look to its last."""

from __future__ import annotations

import pytest

from rota.trace.recording import record
from tests.trace.scenes import Agent, client, snapshot, turn


def agent(seconds: int = 3) -> Agent:
    looks = [snapshot(tenth / 10, client("a")) for tenth in range(seconds * 10 + 1)]
    turns = [turn(n, "a", n / 20, n / 20 + 0.05) for n in range(seconds * 20 - 1)]
    return Agent(looks, turns)


def test_all_turns_that_end_meanwhile_and_no_others_are_in_it() -> None:
    source = agent()
    source.now = 1.0
    recording = record(source, 1.0, source.clock, source.sleep)
    assert (recording.begin, recording.end) == (1_700_000_001.0, 1_700_000_002.0)
    assert [one.number for one in recording.turns] == list(range(20, 40))
    assert recording.lost == 0
    assert source.slept[:5] == pytest.approx([0.2] * 5)


def test_an_interrupt_ends_it_early_with_what_there_is() -> None:
    source = agent()
    source.interrupt_at = 0.9
    recording = record(source, 1000.0, source.clock, source.sleep)
    assert len(recording.snapshots) == 5
    assert recording.turns


def test_turns_that_were_gone_before_they_could_be_read_are_counted() -> None:
    source = agent()
    kept = source.sleep

    def sleep(seconds: float) -> None:
        kept(seconds)
        if source.made[0].number == 0:
            del source.made[:3]

    recording = record(source, 1.0, source.clock, sleep)
    assert recording.lost == 3
