"""Makes the README's pictures of the page: ``photowords web`` on a new folder, Debian's chromium, the five moments.

    python docs/screenshots.py            # about five minutes on two cores

It learns the bank's mug with the pocket model, as a person would: by clicks and buttons.
"""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

OUT = Path(__file__).with_name("page")
PATIENCE = 300_000  # milliseconds
SIZE = {"width": 1280, "height": 860}
COLOURS = 256


@contextmanager
def served() -> Iterator[str]:
    """The page's address, token and all, for as long as it is needed."""
    with tempfile.TemporaryDirectory() as runs:
        command = [sys.executable, "-u", "-m", "photowords", "web", "--runs", runs, "--port", "0", "--model", "pocket"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            for line in server.stdout or ():
                if found := re.search(r"http://\S+", line):
                    yield found[0]
                    return
        finally:
            server.terminate()
            server.wait(60)
    raise SystemExit("photowords web did not say where its page is")


def keep(page: Page, name: str) -> None:
    """Save what the window shows, in few colours so that the repository stays small."""
    page.wait_for_timeout(1500)  # pictures and fades
    picture = Image.open(io.BytesIO(page.screenshot(animations="disabled"))).convert("RGB")
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(OUT / f"{name}.png", optimize=True)
    print(OUT / f"{name}.png")


def photo(page: Page) -> None:
    page.wait_for_selector(".bank img")
    keep(page, "1-photo")


def click(page: Page) -> None:
    page.click(".thumb:has-text('mug')")
    page.wait_for_selector(".chip.learned")
    box = page.locator(".surface img").bounding_box()
    assert box is not None
    with page.expect_response("**/api/sentence"):
        page.mouse.click(box["x"] + 0.5 * box["width"], box["y"] + 0.6 * box["height"])
    page.wait_for_selector(".glow")
    keep(page, "2-click")


def words(page: Page) -> None:
    page.locator(".chip input").first.fill("teal")
    page.get_by_role("button", name="See what the model draws").click()
    page.wait_for_selector(".drawn .picture img")
    page.locator(".chip input").first.focus()
    keep(page, "3-words")


def learn(page: Page) -> None:
    page.get_by_role("button", name="Learn these words").click()
    page.locator(".series circle").nth(1).wait_for(state="attached")
    page.locator(".samples img").nth(1).wait_for()
    page.set_viewport_size({**SIZE, "height": 1240})  # type: ignore[typeddict-item]
    keep(page, "4-learn")
    page.set_viewport_size(SIZE)  # type: ignore[arg-type]


def use(page: Page) -> None:
    page.locator(".state.done").wait_for()
    page.get_by_role("button", name="Draw with it").click()
    page.get_by_role("button", name="… on the beach").click()
    for swapped in (None, "striped"):
        if swapped:
            choice = page.locator(".prompt-line select").nth(-2)
            choice.select_option("another")
            page.locator(".instead:visible").fill(swapped)
        drawn = page.locator("#use .picture").count()
        page.get_by_role("button", name="Draw", exact=True).click()
        page.locator("#use .picture").nth(drawn + 3).wait_for()
    page.locator("#use").evaluate("(card) => scrollBy(0, card.getBoundingClientRect().top - 70)")
    keep(page, "5-use")


def main() -> None:
    chromium = shutil.which("chromium")
    if chromium is None:
        raise SystemExit("there is no chromium on the path; on Debian: apt-get install chromium")
    OUT.mkdir(exist_ok=True)
    with served() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport=SIZE, reduced_motion="reduce")  # type: ignore[arg-type]
        page.set_default_timeout(PATIENCE)
        page.goto(address)
        for moment in (photo, click, words, learn, use):
            moment(page)
        browser.close()


if __name__ == "__main__":
    main()
