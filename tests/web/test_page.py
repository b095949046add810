"""The live page in real Chromium: it moves, is paused and zoomed, and keeps its own strict policy."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rota.figures.palette import colours
from tests.web.browser import Browser, find
from tests.web.play import NAMES, Play, Theatre

pytestmark = [
    pytest.mark.xdist_group("browser"),
    pytest.mark.skipif(find() is None, reason="no Chromium here"),
]

CANVAS = "document.querySelector('canvas')"
HIDDEN = "document.getElementById('{}').hidden"
TEXT = "document.getElementById('{}').textContent"
TO = f"Number({CANVAS}.dataset.to)"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = find()
    assert program
    made = Browser.start(program, Path(tempfile.mkdtemp(prefix="rotaweb")))
    yield made
    made.close()


@pytest.fixture(scope="module")
def theatre() -> Iterator[Theatre]:
    made = Theatre(Play())
    yield made
    made.close()


@pytest.fixture
def page(browser: Browser, theatre: Theatre) -> Iterator[Browser]:
    """The page, live, with turns on it. Nothing in it may have been complained of."""
    browser.complaints.clear()
    browser.open("about:blank")
    browser.size(1200, 800)
    browser.open(theatre.address)
    browser.until(f"{CANVAS} && Number({CANVAS}.dataset.turns) > 5")
    yield browser
    assert browser.complaints == []


def box(page: Browser) -> tuple[float, float, float, float]:
    """Where the first canvas is: left, top, width, height."""
    found = page.run(f"(({{left, top, width, height}}) => [left, top, width, height])({CANVAS}.getBoundingClientRect())")  # fmt: skip
    left, top, width, height = found
    return left, top, width, height


def cards(page: Browser) -> list[str]:
    found: list[str] = page.run("[...document.querySelectorAll('.gpu h2')].map(e => e.textContent)")
    return found


def rows(page: Browser) -> list[str]:
    script = "[...document.querySelectorAll('tbody tr td:nth-child(2)')].map(e => e.textContent)"
    found: list[str] = page.run(script)
    return found


def test_lanes_move(page: Browser) -> None:
    before, drawn = page.run(f"[{TO}, {CANVAS}.toDataURL()]")
    page.until(TO, lambda now: now > before + 0.5)
    assert page.run(f"{CANVAS}.toDataURL()") != drawn
    assert page.run(TEXT.format("link")) == "live"


def test_it_says_what_is_emulated_and_what_is_wrong(page: Browser, theatre: Theatre) -> None:
    assert page.run(HIDDEN.format("emulated")) is False
    troubles = page.run("[...document.querySelectorAll('.trouble')].map(e => e.textContent)")
    assert troubles == ["", "Not healthy: Xid 79"]
    theatre.play.turns_off = "driver 535 has no gates"
    try:
        page.until("document.querySelector('.trouble').textContent.includes('no gates')")
    finally:
        theatre.play.turns_off = ""


def test_names_are_text_whatever_they_hold(page: Browser) -> None:
    assert sorted(rows(page)) == sorted([*NAMES, "notebook"])
    assert page.run("document.images.length") == 0


def test_the_pointer_shows_the_facts_of_a_turn(page: Browser) -> None:
    page.run("document.getElementById('pause').click()")
    left, top, width, _ = box(page)
    for x in range(300, int(width), 8):
        page.point(left + x, top + 15)
        if not page.run(HIDDEN.format("tip")):
            break
    said = page.run(TEXT.format("tip"))
    for part in ("research/", "lasted 100 ms", "waited 200 ms", "closed in 10 ms", "expired"):
        assert part in said
    page.point(5, 5)
    page.until(HIDDEN.format("tip"))


def test_it_is_paused_dragged_and_goes_on(page: Browser) -> None:
    page.run("document.getElementById('pause').click()")
    held = page.run(TO)
    left, top, width, _ = box(page)
    page.drag(left + width / 2, top + 20, 100)
    dragged = page.until(TO, lambda now: now < held - 0.5)
    stays = "new Promise(done => setTimeout(() => done(%s), 400))" % TO  # noqa: UP031
    assert page.run(stays) == dragged
    page.ask("Input.dispatchKeyEvent", type="keyDown", key=" ")
    page.until("document.getElementById('pause').textContent === 'Pause'")
    page.until(TO, lambda now: now > held)


def test_zoom_is_in_the_address(page: Browser) -> None:
    assert page.run(TEXT.format("span")) == "10 s"
    page.run("document.getElementById('in').click()")
    assert page.run(f"[{TEXT.format('span')}, location.hash]") == ["5 s", "#seconds=5"]
    page.run("document.body.focus()")
    page.ask("Input.dispatchKeyEvent", type="keyDown", key="-")
    page.ask("Input.dispatchKeyEvent", type="keyDown", key="-")
    page.until(f"{TEXT.format('span')} === '20 s'")


@pytest.mark.parametrize(
    ("asked", "gpus", "clients"),
    [
        ("#gpu=1", ["GPU 1  NVIDIA H200"], ["notebook"]),
        ("#gpu=GPU-a", ["GPU 0  NVIDIA H200"], sorted(NAMES)),
        ("#client=teaching%2Fnotebook%2Fmain", ["GPU 1  NVIDIA H200"], ["notebook"]),
        ("#", ["GPU 0  NVIDIA H200", "GPU 1  NVIDIA H200"], sorted([*NAMES, "notebook"])),
    ],
)
def test_an_address_leads_to_a_gpu_or_a_client(
    page: Browser, asked: str, gpus: list[str], clients: list[str]
) -> None:
    page.run(f"void (location.hash = {json.dumps(asked)})")
    page.until("document.querySelectorAll('.gpu').length", lambda n: n == len(gpus))
    assert cards(page) == gpus
    assert sorted(rows(page)) == clients


def test_a_heading_sorts(page: Browser) -> None:
    page.run("document.querySelectorAll('th button')[7].click()")
    assert rows(page)[0] == NAMES[2]
    page.run("document.querySelectorAll('th button')[7].click()")
    assert rows(page)[-1] == NAMES[2]


def test_it_fits_a_phone(page: Browser) -> None:
    page.size(390, 844, phone=True, scale=2)
    page.until("innerWidth === 390")
    page.until(f"{CANVAS}.clientWidth < 380")
    assert page.run("document.documentElement.scrollWidth") <= 390
    assert page.run("Math.min(...[...document.querySelectorAll('#controls button')].map(e => e.clientHeight))") >= 38  # fmt: skip
    before = page.run(TO)
    page.until(TO, lambda now: now > before)


def test_clients_have_the_colours_that_they_have_elsewhere(page: Browser) -> None:
    names = ["job/a", "job/b", "ns/pöd/main", *(f"job/{n}" for n in range(9))]
    script = f"import('/page/colours.js').then(m => [...m.colours({json.dumps(names)})])"
    assert dict(page.run(script)) == colours(names)


def test_nothing_inline_runs_and_nothing_else_is_asked(browser: Browser, theatre: Theatre) -> None:
    """The policy is not only kept but in force."""
    browser.open(theatre.address)
    browser.run(
        "document.head.append(Object.assign(document.createElement('script'), "
        "{textContent: 'window.ran = 1'})), 0"
    )
    assert browser.run("window.ran === undefined")
    assert browser.run("fetch('http://127.0.0.2:9/').then(() => 'asked', () => 'refused')") == "refused"  # fmt: skip
    assert any("Content Security Policy" in said or "csp" in said.lower() for said in browser.complaints)  # fmt: skip
    outside = browser.run("performance.getEntriesByType('resource').map(e => new URL(e.name).host)")
    assert set(outside) <= {f"127.0.0.1:{theatre.port}", "127.0.0.2:9"}


def test_an_agent_that_goes_is_asked_again_and_tells_on(browser: Browser) -> None:
    theatre = Theatre(Play())
    try:
        browser.open(theatre.address)
        browser.until(f"{TEXT.format('link')} === 'live'")
        theatre.shut()
        browser.until(f"{TEXT.format('link')}.includes('does not answer')")
        theatre.open()
        browser.until(f"{TEXT.format('link')} === 'live'")
        before = browser.run(TO)
        browser.until(f"[{TO}, Number({CANVAS}.dataset.turns)]", moved(before))
    finally:
        browser.open("about:blank")
        theatre.close()


def moved(before: float) -> Any:
    return lambda seen: seen[0] > before + 0.5 and seen[1] > 5


def test_a_token_is_asked_for_and_taken(browser: Browser, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("open-sesame, please\n")
    theatre = Theatre(Play(), file)
    try:
        browser.open(theatre.address)
        browser.until(f"!{HIDDEN.format('ask')}")
        browser.run(
            "document.getElementById('token').value = 'open-sesame, please', "
            "document.querySelector('#ask button').click(), 0"
        )
        browser.until(f"{CANVAS} && Number({CANVAS}.dataset.turns) > 5")
        assert browser.run(HIDDEN.format("ask"))
        browser.open("about:blank")
        browser.open(f"{theatre.address}#token=open-sesame%2C%20please&gpu=0")
        browser.until(f"{CANVAS} && Number({CANVAS}.dataset.turns) > 5")
        assert browser.run("location.hash") == "#gpu=0"
    finally:
        browser.open("about:blank")
        theatre.close()
