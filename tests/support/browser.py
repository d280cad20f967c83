"""A real browser for the page: the system's Chromium, driven by Playwright from the index.

`python -m tests.support.browser docs/figures/report.png` takes the documentation's picture again.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from cachedoctor import demo
from cachedoctor.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

PICTURE = Path(__file__).parents[2] / "docs" / "figures" / "report.png"
_SIZE = (1100, 1180)
_HOME = "/Users/ada"
_REPORT = (sys.executable, "-m", "cachedoctor", "report", "-o", "-", "--platform", "darwin")


def missing() -> str:
    """Return what is missing of the browser and its driver; empty if nothing is."""
    for name in ("playwright", "axe_playwright_python", "pypdf"):
        if importlib.util.find_spec(name) is None:
            return f"{name} is not installed: `pip install --group browser`"
    return "" if program() else "no Chromium is here"


def program() -> str:
    """Return the path of Chromium, or nothing."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next(filter(None, map(shutil.which, names)), "")


@contextlib.contextmanager
def browser() -> Iterator[Browser]:
    """Start Chromium, and keep it while it is needed."""
    from playwright.sync_api import sync_playwright

    root = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as started:
        made = started.chromium.launch(executable_path=program(), args=root)
        try:
            yield made
        finally:
            made.close()


def painted(page: Page) -> None:
    """Wait until what was asked for is on the screen."""
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def demo_page() -> str:
    """Return the page of the demo home, as if it were somebody's, at a fixed time."""
    with tempfile.TemporaryDirectory(prefix="browser-") as folder:
        home = os.path.join(folder, "demo")
        demo.build(home)
        made = subprocess.run(
            (*_REPORT, "--home", "demo"),
            cwd=folder,
            env={**os.environ, "HOME": os.path.join(folder, "own"), "TZ": "UTC"},
            capture_output=True,
            check=True,
        )
    text = made.stdout.decode().replace(os.path.realpath(home), _HOME).replace(home, _HOME)
    return re.sub(r"20\d\d-\d\d-\d\d \d\d:\d\d", "2026-11-20 09:00", text)


def take(path: Path) -> None:
    """Take the picture of the demo page, and store the digest of its words in it."""
    with browser() as started, tempfile.TemporaryDirectory(prefix="browser-") as folder:
        place = Path(folder, "page.html")
        place.write_text(demo_page(), encoding="utf-8")
        page = started.new_page(viewport={"width": _SIZE[0], "height": _SIZE[1]})
        page.goto(place.as_uri())
        painted(page)
        data = page.screenshot()
        path.write_bytes(_marked(data, words(page)))


def words(page: Page) -> str:
    """Return the digest of what a page shows, whatever the version."""
    shown = page.locator("body").inner_text().replace(VERSION, "VERSION")
    return hashlib.sha256(" ".join(shown.split()).encode()).hexdigest()


def taken_of(path: Path) -> str:
    """Return the digest of the words in a picture."""
    found = re.search(rb"tEXtWords\0([0-9a-f]{64})", path.read_bytes())
    return found[1].decode() if found else ""


def _marked(data: bytes, digest: str) -> bytes:
    """Put a text into a PNG, after its first chunk.

    Source: Portable Network Graphics, third edition, 11.3.3.2, `tEXt`.
    """
    body = b"tEXtWords\0" + digest.encode()
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return data[:33] + chunk + data[33:]


if __name__ == "__main__":
    for name in sys.argv[1:]:
        take(Path(name))
