"""A headless Chromium under remote control: it opens addresses of this machine, types, clicks and takes pictures.

It is asked over a pair of pipes by the Chrome DevTools Protocol: one JSON text after the other, each ended by a zero
byte (`--remote-debugging-pipe`), so that no port is opened and no client library is needed.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import time
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.fakes.browser import OFFLINE
from tests.tools.required import need

PATIENCE_S = 120


class Session:
    """One page of one browser with an empty profile in the folder `profile`; only this machine can be reached."""

    def __init__(self, profile: Path) -> None:
        self._profile = profile
        self._waiting: deque[dict[str, Any]] = deque()
        self._number = 0
        self._session: str | None = None
        self.console: list[str] = []
        self.asked: list[str] = []  # every address that the page asked for

    def __enter__(self) -> Session:
        from_here, to_browser = os.pipe()
        from_browser, to_here = os.pipe()
        # The browser reads its file 3 and writes its file 4; a shell renames the pipes to that.
        renamed = f'exec "$@" 3<&{from_here} 4>&{to_here}'
        options = (f"--user-data-dir={self._profile}", "--remote-debugging-pipe", "about:blank")
        self._process = subprocess.Popen(
            ["bash", "-c", renamed, "chromium", str(need("chromium")), *OFFLINE, *options],
            pass_fds=(from_here, to_here),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(from_here)
        os.close(to_here)
        self._in, self._out = os.fdopen(to_browser, "wb", 0), os.fdopen(from_browser, "rb", 0)
        self._rest = b""
        pages = [
            target for target in self.tell("Target.getTargets")["targetInfos"] if target["type"] == "page"
        ]
        target = pages[0]["targetId"]
        self._session = self.tell("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.tell(f"{domain}.enable")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        self._in.close()
        self._out.close()

    def tell(self, method: str, **params: Any) -> dict[str, Any]:
        """Send one command and wait for its result."""
        self._number += 1
        number = self._number
        message: dict[str, Any] = {"id": number, "method": method, "params": params}
        if self._session is not None:
            message["sessionId"] = self._session
        self._in.write(json.dumps(message).encode() + b"\0")
        while True:
            found = self._read()
            if found.get("id") == number:
                if "error" in found:
                    raise RuntimeError(f"{method}: {found['error']['message']}")
                return dict(found["result"])
            self._note(found)

    def open(self, address: str) -> None:
        self.tell("Page.navigate", url=address)
        self.until(f"document.readyState === 'complete' && location.href === {json.dumps(address)}")

    def value(self, expression: str) -> Any:
        """What a JavaScript expression gives in the page."""
        done = self.tell("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in done:
            raise RuntimeError(f"{expression}: {done['exceptionDetails']}")
        return done["result"].get("value")

    def until(self, expression: str) -> None:
        """Wait until an expression is true in the page."""
        deadline = time.monotonic() + PATIENCE_S
        while not self.value(f"!!({expression})"):
            assert time.monotonic() < deadline, f"never true: {expression}"
            time.sleep(0.02)

    def type(self, selector: str, text: str) -> None:
        """Replace what an input holds, by the keyboard."""
        self.value(
            f"(() => {{const e = document.querySelector({json.dumps(selector)}); e.focus(); e.select()}})()"
        )
        for kind in ("keyDown", "keyUp"):
            self.tell(
                "Input.dispatchKeyEvent", type=kind, key="Delete", code="Delete", windowsVirtualKeyCode=46
            )
        self.tell("Input.insertText", text=text)

    def choose(self, selector: str, value: str) -> None:
        """Take an option of a list, as its owner would by typing the first letters."""
        self.value(f"document.querySelector({json.dumps(selector)}).focus()")
        self.tell("Input.dispatchKeyEvent", type="char", text=value[0])
        self.until(f"document.querySelector({json.dumps(selector)}).value === {json.dumps(value)}")

    def press(self, key: str) -> None:
        """One key, such as Tab, Enter or a space."""
        codes = {"Tab": 9, "Enter": 13, " ": 32}
        text = {"Enter": "\r", " ": " "}.get(key, "")
        common = {"key": key, "code": "Space" if key == " " else key, "windowsVirtualKeyCode": codes[key]}
        self.tell("Input.dispatchKeyEvent", type="keyDown", text=text, **common)
        self.tell("Input.dispatchKeyEvent", type="keyUp", **common)

    def click(self, selector: str) -> None:
        """Press the left button in the middle of an element, wherever it is on the page."""
        place = self.value(
            f"(() => {{const e = document.querySelector({json.dumps(selector)});"
            "e.scrollIntoView({block: 'center', behavior: 'instant'}); const r = e.getBoundingClientRect();"
            "return [r.x + r.width / 2, r.y + r.height / 2]})()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.tell(
                "Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], button="left", clickCount=1
            )

    def show(self, width: int, height: int, scheme: str = "light") -> None:
        """The size of the window in CSS pixels, and `light` or `dark`."""
        self.tell(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        self.tell("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def picture(self, path: Path) -> None:
        """A PNG of the whole page."""
        data = self.tell("Page.captureScreenshot", captureBeyondViewport=True)["data"]
        path.write_bytes(base64.b64decode(data))

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            block = self._out.read(2**16)
            if not block:
                raise RuntimeError(f"Chromium ended with {self._process.wait()}")
            self._rest += block
        text, _, self._rest = self._rest.partition(b"\0")
        return dict(json.loads(text))

    def _note(self, event: dict[str, Any]) -> None:
        params = event.get("params", {})
        if event.get("method") == "Network.requestWillBeSent":
            self.asked.append(params["request"]["url"])
        elif event.get("method") == "Log.entryAdded":
            self.console.append(params["entry"]["text"])
        elif event.get("method") == "Runtime.consoleAPICalled":
            self.console.append(" ".join(str(part.get("value")) for part in params["args"]))
        elif event.get("method") == "Runtime.exceptionThrown":
            self.console.append(params["exceptionDetails"]["text"])
