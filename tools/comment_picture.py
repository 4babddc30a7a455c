"""`python -m tools.comment_picture REPORT.md PICTURE.png`: a report as a reviewer sees it, by a headless Chromium.

The Markdown is that of a real run, such as `demo/tumour-triage/reports/diff/report.md` after `make demo`. Charts are
left out: GitHub draws them with Mermaid when the reader opens them.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from markdown_it import MarkdownIt

STYLE = """
body { margin: 0; padding: 20px; background: #ffffff; color: #1f2328; font: 14px/1.5 system-ui, sans-serif; }
article { border: 1px solid #d1d9e0; border-radius: 6px; overflow: hidden; }
header { background: #f6f8fa; border-bottom: 1px solid #d1d9e0; padding: 8px 16px; color: #59636e; }
header b { color: #1f2328; }
main { padding: 4px 16px 16px; }
h3 { font-size: 18px; margin: 14px 0 10px; }
table { border-collapse: collapse; margin: 8px 0 14px; font-variant-numeric: tabular-nums; }
th, td { border: 1px solid #d1d9e0; padding: 5px 12px; }
tr:nth-child(2n) td { background: #f6f8fa; }
code { background: #eff1f3; border-radius: 6px; padding: 2px 5px; font: 12px ui-monospace, monospace; }
details { margin: 6px 0; }
sub { color: #59636e; }
"""
CHARTS = re.compile(r"<details><summary>Charts</summary>.*?</details>\n+", re.DOTALL)


def page(markdown: str) -> str:
    """The comment as an HTML page."""
    body = MarkdownIt("commonmark", {"html": True}).enable("table").render(CHARTS.sub("", markdown))
    return (
        f'<!doctype html><meta charset="utf-8"><style>{STYLE}</style><article>'
        f"<header><b>github-actions</b> commented</header><main>{body}</main></article>"
    )


def take(html: str, picture: Path, width: int, height: int) -> None:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        raise SystemExit("error: there is no chromium on PATH")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "comment.html")
        file.write_text(html, encoding="utf-8")
        words = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            f"--window-size={width},{height}",
        ]
        subprocess.run(
            [chromium, *words, f"--screenshot={picture.resolve()}", file.as_uri()],
            check=True,
            capture_output=True,
        )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("report", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--width", type=int, default=980)
    parser.add_argument("--height", type=int, default=900)
    options = parser.parse_args(arguments)
    take(page(options.report.read_text(encoding="utf-8")), options.picture, options.width, options.height)
    return 0


if __name__ == "__main__":
    sys.exit(main())
