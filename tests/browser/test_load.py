"""How light the page is."""

from __future__ import annotations

from playwright.sync_api import Browser

from photowords.web import app
from tests.browser.conftest import WIDE, open_page


def test_the_page_is_small_and_paints_within_a_second(browser: Browser, address: str) -> None:
    for page in open_page(browser, address, WIDE, "light"):
        paints = []
        for _ in range(3):  # the machine may be busy with something else for a moment
            page.reload()
            page.wait_for_selector(".bank img")
            paints.append(page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime"))
        assert 0 < min(paints) < 1000
        sent = page.evaluate(
            """() => [...performance.getEntriesByType("resource"), performance.getEntriesByType("navigation")[0]]
              .filter((one) => !one.name.includes("/api/")).reduce((sum, one) => sum + one.decodedBodySize, 0)"""
        )
        assert 10_000 < sent < 150_000


def test_nothing_that_ships_names_another_place() -> None:
    for file in app.STATIC.iterdir():
        text = file.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "http:" not in text and "https:" not in text and "innerHTML" not in text, file.name
