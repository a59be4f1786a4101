"""A headless Chromium, driven by its DevTools protocol over two pipes: pages that are tried as a person would.

with browser() as page:
    page.open(path)
    page.drag([(10, 10), (10, 90)])     the mouse, pressed on the first point and let go on the last
    page.wait("document.title")         until an expression is true; its value
    page.screenshot(path)
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")


def found() -> str | None:
    """The program, where it is installed."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Page:
    """A tab: commands go out by one pipe, answers and events come by the other, each ended by a zero byte."""

    def __init__(self, commands: int, answers: int) -> None:
        self._commands, self._answers = commands, os.fdopen(answers, "rb")
        self._number, self._session = 0, None
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self._ask("Emulation.setDeviceMetricsOverride", width=860, height=600, deviceScaleFactor=1, mobile=False)

    def _ask(self, method: str, **params: Any) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        message |= {"sessionId": self._session} if self._session else {}
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while (answer := self._read()).get("id") != self._number:
            pass
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def _read(self) -> dict[str, Any]:
        letters = bytearray()
        while (letter := self._answers.read(1)) not in (b"\0", b""):
            letters += letter
        if not letters:
            raise RuntimeError("the browser has ended.")
        return json.loads(letters)

    def close(self) -> None:
        os.close(self._commands)
        self._answers.close()

    def open(self, path: Path) -> None:
        self._ask("Page.navigate", url=path.resolve().as_uri())

    def value(self, expression: str) -> Any:
        """What an expression of JavaScript is now."""
        return self._ask("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def wait(self, expression: str, seconds: float = 60) -> Any:
        """Its value, as soon as that is true."""
        end = time.monotonic() + seconds
        while not (value := self.value(expression)):
            if time.monotonic() > end:
                raise TimeoutError(f"{expression} is not true after {seconds} s.")
            time.sleep(0.05)
        return value

    def drag(self, points: Sequence[tuple[float, float]]) -> None:
        kinds = ["mousePressed", *["mouseMoved"] * (len(points) - 2), "mouseReleased"]
        for kind, (x, y) in zip(kinds, points, strict=True):
            self._ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=1, clickCount=1)

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self._ask("Page.captureScreenshot", format="png")["data"]))


@contextlib.contextmanager
def browser() -> Iterator[Page]:
    """A page of a new, empty browser, that ends with the block."""
    ours_in, theirs_out = os.pipe()
    theirs_in, ours_out = os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        flags = f"--headless --no-sandbox --disable-gpu --remote-debugging-pipe --user-data-dir={profile}"
        shell = f'exec "$0" {flags} 3<&{theirs_in} 4>&{theirs_out}'  # the pipes have these two numbers there
        command = ["bash", "-c", shell, found() or "chromium"]
        process = subprocess.Popen(command, pass_fds=(theirs_in, theirs_out), stderr=subprocess.DEVNULL)
        os.close(theirs_in)
        os.close(theirs_out)
        try:
            with contextlib.closing(Page(ours_out, ours_in)) as page:
                yield page
        finally:
            process.terminate()
            process.wait(20)
