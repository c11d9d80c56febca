"""Take the pictures of the page that the README and docs/service.md show, into docs/images: PYTHONPATH=src python scripts/page_pictures.py.

It needs Debian's chromium, and playwright. A picture is at most some 40 KB: its colours are reduced to 96.
"""

import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
HOUSE = [
    [(0.33, 0.5), (0.32, 0.28), (0.5, 0.1), (0.68, 0.3), (0.67, 0.5), (0.33, 0.49)],
    [(0.46, 0.5), (0.46, 0.38), (0.54, 0.38), (0.55, 0.5)],
]
DESKTOP, PHONE = {"width": 1180, "height": 800}, {"width": 390, "height": 844}


def main() -> None:
    """Take them all."""
    from playwright.sync_api import sync_playwright

    with served() as url, sync_playwright() as running:
        browser: Any = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for name, size, scheme, show in (
            ("page-drawings", DESKTOP, "light", drawings),
            ("page-drawings-dark", DESKTOP, "dark", drawings),
            ("page-phone", PHONE, "light", drawings),
            ("page-messages", DESKTOP, "light", messages),
        ):
            context = browser.new_context(viewport=size, color_scheme=scheme, has_touch=size is PHONE, is_mobile=size is PHONE)
            page = context.new_page()
            page.goto(url)
            show(page)
            page.wait_for_timeout(400)
            file = IMAGES / f"{name}.png"
            page.screenshot(path=file, full_page=size is PHONE)
            Image.open(file).convert("RGB").quantize(96).save(file, optimize=True)
            print(file, f"{file.stat().st_size / 1000:.0f} KB")
            context.close()
        browser.close()


def drawings(page: Any) -> None:
    """Three symbols of the page's own, and one of them drawn again."""
    page.click("#sample")
    until(page, "document.getElementById('answer').textContent.startsWith('Now draw')")
    pad = page.locator("#probe canvas")
    if page.viewport_size["width"] < 600:
        pad.scroll_into_view_if_needed()
    box = pad.bounding_box()
    for stroke in HOUSE:
        for place, (x, y) in enumerate(stroke):
            page.mouse.move(box["x"] + box["width"] * x, box["y"] + box["width"] * y, steps=5)
            if not place:
                page.mouse.down()
        page.mouse.up()
    until(page, "document.getElementById('answer').textContent === 'This is House.'")
    page.mouse.move(0, 0)


def messages(page: Any) -> None:
    """Three kinds of message, and a new one."""
    page.click("#tab-texts")
    page.click("#sample")
    until(page, "document.getElementById('answer').textContent.startsWith('Now write')")
    page.fill("#probe textarea", "Why did you take my money two times?")
    until(page, "document.getElementById('answer').textContent.includes('Billing')")
    page.evaluate("() => document.activeElement.blur()")


def until(page: Any, expression: str) -> None:
    """Wait until JavaScript is true; the first use of an encoder takes a while."""
    page.wait_for_function(f"() => {expression}", timeout=180_000)


@contextmanager
def served() -> Iterator[str]:
    """Serve on a free port until the end of the block."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        words = ["serve", "--port", "0", "--store", f"sqlite:///{folder}/tasks.db"]
        with log.open("wb") as written:
            process = subprocess.Popen([sys.executable, "-m", "kshot", *words], stderr=written)
        try:
            while not (found := re.search(r"kshot serves (http://\S+)", log.read_text())):
                if process.poll() is not None:
                    raise SystemExit(log.read_text())
                time.sleep(0.1)
            yield found[1]
        finally:
            process.terminate()
            process.wait()


if __name__ == "__main__":
    main()
