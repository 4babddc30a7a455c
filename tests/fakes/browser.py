"""A headless Chromium that opens one page and tells what became of it."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.tools.required import need

_CONSOLE = re.compile(r":CONSOLE[(:]\d+\)?\] \"(.*)\", source:")
# No window, and no name that could be found; an address of this machine can still be reached.
OFFLINE = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)


@dataclass(frozen=True)
class Opened:
    """The document after its scripts ran, and every line they or the browser wrote to the console."""

    document: str
    console: list[str]


def open_page(page: Path, profile: Path, *options: str) -> Opened:
    """Open the file `page` with an empty profile in the folder `profile`; no other address can be reached."""
    command = [
        str(need("chromium")),
        *OFFLINE,
        f"--user-data-dir={profile}",
        "--virtual-time-budget=10000",
        "--enable-logging=stderr",
        "--dump-dom",
        *options,
        page.as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=True)
    return Opened(done.stdout, _CONSOLE.findall(done.stderr))
