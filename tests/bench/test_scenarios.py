import re
from pathlib import Path

import pytest

from rota.bench import play, stage
from rota.bench.mps import Mps
from rota.bench.scenarios import SCENARIOS, Part, Scenario, chosen, quicker
from rota.bench.slots import Slot
from rota.emulation.profiles import parse_emulation
from rota.errors import UsageError
from rota.gpu.work import KINDS


def test_names_are_unique_and_can_be_typed() -> None:
    names = [scenario.name for scenario in SCENARIOS]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch("[a-z0-9-]+", name) for name in names)


def test_solo_comes_first_whatever_is_chosen() -> None:
    assert [s.name for s in chosen(("large", "two"))] == ["solo", "two", "large"]
    assert chosen(()) == SCENARIOS


def test_a_name_that_there_is_not_says_where_the_names_are() -> None:
    with pytest.raises(UsageError, match="--list"):
        chosen(("tow",))


def test_every_part_is_a_program_that_there_is() -> None:
    assert {part.arguments[0] for s in SCENARIOS for part in s.parts} <= set(KINDS)
    assert "--period" in Part("server", pause=1).arguments
    assert "--think" in Part("notebook", pause=1).arguments


def test_quick_is_shorter_in_every_mode() -> None:
    for scenario in SCENARIOS:
        for mode in ("driver", "overlapped", "disjoint"):
            assert quicker(scenario).lasts(mode) < scenario.lasts(mode)


def test_mps_says_why_it_is_not_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "emulated" in Mps(tmp_path / "mps", {}, emulated=True).off
    monkeypatch.setenv("PATH", str(tmp_path))
    mps = Mps(tmp_path / "mps", {}, emulated=False)
    assert "PATH" in mps.off
    assert not mps.start()
    daemon = tmp_path / "nvidia-cuda-mps-control"
    daemon.write_text("#!/bin/sh\necho no device >&2\nexit 1\n")
    daemon.chmod(0o755)
    mps = Mps(tmp_path / "other", {}, emulated=False)
    assert not mps.start()
    assert "no device" in mps.off
    mps.stop()


@pytest.mark.xdist_group("bench")
async def test_scenarios_are_played_in_every_way_and_one_that_fails_ends_no_other() -> None:
    small, newcomers = (quicker(s) for s in chosen(("small", "newcomers")) if s.name != "solo")
    broken = Scenario("broken", "", (Part("no such program"),))
    told: list[Slot] = []
    async with stage.set_up("emulated", parse_emulation("h200"), 0.05) as place:
        run = play.Run(place, [broken, small, newcomers], 1, float("inf"), told.append)
        await run.play()
        folder = place.folder
    assert not folder.exists()
    assert [slot.mode for slot in told] == ["driver", "overlapped", "disjoint"] * 3
    assert all("no such program" in slot.error for slot in told[:3])
    assert all(slot.programs or "takes no turns" in slot.error for slot in told[3:])
    assert all(len(slot.programs) == 2 for slot in told[3:6] if not slot.error)
    assert all(slot.came for slot in told[6:] if not slot.error)
    assert not any(slot.ended for slot in told if slot.mode == "driver")
    assert place.mps.off


@pytest.mark.xdist_group("bench")
async def test_nothing_begins_when_the_time_is_over() -> None:
    told: list[Slot] = []
    async with stage.set_up("emulated", parse_emulation("h200"), 0.05) as place:
        await play.Run(place, SCENARIOS, 1, 0.0, told.append).play()
    assert told == []
