"""Chromium, driven by its DevTools protocol over a pair of pipes: no driver, no port, no library.

Protocol: https://chromedevtools.github.io/devtools-protocol/; over `--remote-debugging-pipe` each
message is JSON with a zero byte after it, on descriptors 3 and 4.
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PATIENCE = 20.0

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find() -> str | None:
    """Where a Chromium is; None if there is none."""
    return next(filter(None, map(shutil.which, NAMES)), None)


_OURS = "NavigationEntryMarkedSkippable"
"""The issue that a script, not a hand, went to another address: that was the test."""

_LAUNCH = """
import fcntl, os, sys
read, write = (fcntl.fcntl(int(n), fcntl.F_DUPFD, 10) for n in sys.argv[1:3])
os.dup2(read, 3)
os.dup2(write, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""
"""Descriptors 3 and 4 are its, whatever numbers the pipes have here."""


class BrowserError(Exception):
    """The browser refused, or a script in it threw."""


@dataclass
class Browser:
    """One headless browser with one page.

    Attributes:
        complaints: what the page or its policy complained of: console errors, exceptions, CSP.
    """

    process: subprocess.Popen[bytes]
    to: int
    come: int
    folder: Path
    session: str = ""
    complaints: list[str] = field(default_factory=list)
    _number: int = 0
    _rest: bytes = b""
    _answers: dict[int, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def start(cls, program: str, folder: Path) -> Browser:
        """Start it with a fresh profile in that folder."""
        ours_in, theirs_out = os.pipe()
        theirs_in, ours_out = os.pipe()
        command = [
            program, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
            "--remote-debugging-pipe", "--no-first-run", "--disable-dev-shm-usage",
            "--disable-background-networking", "--disable-component-update", "--disable-extensions",
            f"--user-data-dir={folder / 'profile'}", "about:blank",
        ]  # fmt: skip
        launch = [sys.executable, "-c", _LAUNCH, str(theirs_in), str(theirs_out), *command]
        process = subprocess.Popen(
            launch, pass_fds=(theirs_in, theirs_out), stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True, env=os.environ | {"HOME": str(folder)},
        )  # fmt: skip
        os.close(theirs_in)
        os.close(theirs_out)
        made = cls(process, ours_out, ours_in, folder)
        try:
            made._attach()
        except BrowserError:
            made.close()
            raise
        return made

    def _attach(self) -> None:
        targets = self.ask("Target.getTargets")["targetInfos"]
        page = next(one["targetId"] for one in targets if one["type"] == "page")
        found = self.ask("Target.attachToTarget", targetId=page, flatten=True)
        self.session = found["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Audits"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """One command and its answer."""
        self._number += 1
        number = self._number
        message = {"id": number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + PATIENCE
        while number not in self._answers:
            if time.monotonic() > end:
                raise BrowserError(f"no answer to {method}")
            self._listen(0.2)
        answer = self._answers.pop(number)
        if "error" in answer:
            raise BrowserError(f"{method}: {answer['error']['message']}")
        result: dict[str, Any] = answer["result"]
        return result

    def _listen(self, timeout: float) -> None:
        if not select.select([self.come], [], [], timeout)[0]:
            return
        data = os.read(self.come, 1 << 20)
        if not data:
            raise BrowserError("the browser has ended")
        *messages, self._rest = (self._rest + data).split(b"\0")
        for text in messages:
            self._take(json.loads(text))

    def _take(self, message: dict[str, Any]) -> None:
        if "id" in message:
            self._answers[message["id"]] = message
            return
        params = message.get("params", {})
        method = message["method"]
        if method == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(params["exceptionDetails"])[:500])
        elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.complaints.append(json.dumps(params["entry"])[:500])
        elif method == "Audits.issueAdded" and _OURS not in json.dumps(params):
            self.complaints.append(json.dumps(params["issue"])[:500])
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "assert"):
            self.complaints.append(json.dumps(params["args"])[:500])

    def open(self, address: str) -> None:
        """Go there, and wait until it is loaded."""
        self.ask("Page.navigate", url=address)
        self.until("document.readyState === 'complete'")

    def run(self, script: str) -> Any:
        """The value of an expression in the page."""
        answer = self.ask(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in answer:
            raise BrowserError(f"{script}: {json.dumps(answer['exceptionDetails'])[:500]}")
        return answer["result"].get("value")

    def until(self, script: str, true: Callable[[Any], bool] = bool) -> Any:
        """The value of an expression once it is as wanted."""
        end = time.monotonic() + PATIENCE
        while True:
            value = self.run(script)
            if true(value):
                return value
            if time.monotonic() > end:
                raise BrowserError(f"it never came: {script}; last {value!r}; {self.complaints}")
            time.sleep(0.05)

    def point(self, x: float, y: float) -> None:
        """Move the mouse there."""
        self.ask("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def drag(self, x: float, y: float, dx: float) -> None:
        """Press there, move sideways, let go."""
        held = {"button": "left", "buttons": 1, "clickCount": 1}
        self.ask("Input.dispatchMouseEvent", type="mousePressed", x=x, y=y, **held)
        self.ask("Input.dispatchMouseEvent", type="mouseMoved", x=x + dx, y=y, **held)
        self.ask("Input.dispatchMouseEvent", type="mouseReleased", x=x + dx, y=y, **held)

    def size(self, width: int, height: int, *, phone: bool = False, scale: float = 1) -> None:
        """How large the window is, in CSS pixels."""
        self.ask(
            "Emulation.setDeviceMetricsOverride", width=width, height=height,
            deviceScaleFactor=scale, mobile=phone,
        )  # fmt: skip

    def dark(self, *, on: bool) -> None:
        """Whether its user likes it dark."""
        features = [{"name": "prefers-color-scheme", "value": "dark" if on else "light"}]
        self.ask("Emulation.setEmulatedMedia", features=features)

    def picture(self, path: Path) -> None:
        """A PNG of what is on screen."""
        path.write_bytes(base64.b64decode(self.ask("Page.captureScreenshot")["data"]))

    def close(self) -> None:
        """End it, with all its processes."""
        for descriptor in (self.to, self.come):
            with suppress(OSError):
                os.close(descriptor)
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
