"""The page for everybody: axe-core finds nothing serious, a narrow screen holds it, and no mouse is needed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from photowords import pocket
from photowords.cli import main
from tests.browser.conftest import NARROW, PATIENCE, WIDE, open_page

LOOKS = [(WIDE, "light"), (WIDE, "dark"), (NARROW, "light"), (NARROW, "dark")]


@pytest.fixture(scope="module")
def learned(runs: Path) -> str:
    """A run that the command line made in the page's folder."""
    options = ["--name", "clock", "--steps", "2", "--held-out", "4", "--samples", "1", "--device", "cpu"]
    assert main(["invert", str(pocket.view("clock")), "--out", str(runs / "clock"), *options]) == 0
    return "clock"


@pytest.fixture(scope="module")
def study(runs: Path) -> str:
    """A study of two photos, of which one trial is done."""
    folder = runs / "quick"
    (folder / "trials").mkdir(parents=True)
    named = {"concepts": [{"name": "mug"}, {"name": "cup"}], "arms": [{"name": "caption"}, {"name": "class"}]}
    plan = {"question": "Which start is lower?", "seeds": [0], "trials": ["a", "b", "c", "d"], **named}
    (folder / "plan.json").write_text(json.dumps(plan), encoding="utf-8")
    (folder / "trials" / "a.json").write_text("{}", encoding="utf-8")
    return "quick"


@pytest.fixture(params=LOOKS, ids=lambda look: f"{look[0]['width']}-{look[1]}")
def page(browser: Browser, address: str, request: pytest.FixtureRequest) -> Iterator[Page]:
    viewport, scheme = request.param
    yield from open_page(browser, address, viewport, scheme)


def check(page: Page) -> None:
    """Nothing that axe-core calls serious or critical, and nothing wider than the screen."""
    found = Axe().run(page).response["violations"]
    serious = [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in ("serious", "critical")]
    assert serious == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_no_screen_shuts_anybody_out(page: Page, learned: str, study: str) -> None:
    expect(page.locator(".bank img").first).to_be_visible()
    check(page)
    page.locator(".thumb").first.click()
    expect(page.locator(".chip.learned").first).to_be_visible()
    for summary in page.locator("summary").all():
        summary.click()
    page.locator(".chip input").first.focus()
    check(page)
    home = page.url
    page.goto(f"{home}?run={learned}")
    expect(page.locator(".prompt-line select").first).to_be_visible()
    expect(page.locator(".series circle")).to_have_count(2)
    check(page)
    page.goto(f"{home}?view=runs&compare={learned}")
    expect(page.locator(".compared .series circle")).to_have_count(2)
    check(page)
    page.get_by_role("link", name="Studies").click()
    page.get_by_role("link", name=study).click()
    expect(page.locator(".trial")).to_have_count(4)
    expect(page.locator("#studies tbody tr").first).to_contain_text("● seed 0 done")
    check(page)


def test_a_photo_is_pointed_at_by_keyboard(browser: Browser, address: str) -> None:
    for page in open_page(browser, address, WIDE, "light"):
        page.locator(".thumb").first.focus()
        page.keyboard.press("Enter")
        surface = page.get_by_role("application")
        expect(surface).to_be_visible()
        surface.focus()
        for _ in range(3):
            page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        expect(page.locator(".dot.on")).to_have_count(1)
        expect(page.locator(".glow")).to_be_visible()
        expect(page.locator("#spoken")).to_contain_text("percent of the photo")
        for _ in range(30):
            page.keyboard.press("ArrowUp")
        page.keyboard.press("Shift+Enter")
        expect(page.locator(".dot.off")).to_have_count(1)
        page.keyboard.press("Backspace")
        page.keyboard.press("Backspace")
        expect(page.locator(".dot")).to_have_count(0)
        expect(page.locator(".glow")).to_have_count(0)


def test_an_error_stands_beside_the_field_that_it_names(browser: Browser, address: str) -> None:
    context = browser.new_context(viewport=WIDE)  # type: ignore[arg-type]
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(address)
    page.locator(".thumb").first.click()
    expect(page.locator(".chip.learned").first).to_be_visible()
    steps = page.get_by_label("Steps", exact=True)
    steps.fill("0")
    page.get_by_role("button", name="Learn these words").click()
    expect(page.locator("#learn-steps-problem")).to_contain_text("from 1 to")
    expect(steps).to_be_focused()
    expect(steps).to_have_attribute("aria-invalid", "true")
    page.reload()  # what was filled in is still there
    expect(steps).to_have_value("0")
    context.close()


def test_nothing_below_the_words_moves_when_one_is_edited(browser: Browser, address: str) -> None:
    for page in open_page(browser, address, WIDE, "light"):
        page.locator(".thumb").first.click()
        expect(page.locator(".chip.learned").first).to_be_visible()
        expect(page.locator("#sentence")).to_have_attribute("aria-busy", "false")
        below = page.get_by_role("button", name="See what the model draws")
        before = below.bounding_box()
        page.locator(".chip input").first.focus()
        expect(page.get_by_role("button", name="Keep this word").first).to_be_visible()
        assert below.bounding_box() == before  # a click that leaves the word lands where it was aimed
