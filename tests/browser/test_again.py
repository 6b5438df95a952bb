"""What is kept when one begins again from a run, and what a list, a prompt and a long word do to the page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Dialog, Page, expect

from photowords import pocket
from photowords.cli import main
from tests.browser.conftest import NARROW, open_page

FEW = ("--steps", "2", "--held-out", "4", "--samples", "0", "--device", "cpu")


@pytest.fixture(scope="module")
def learned(runs: Path) -> tuple[str, str]:
    """Two runs of the command line, the first of what was clicked on."""
    pointed = ["--click", "120,140", "--not", "5,5", "--words", "blue mug", "--flip", "--name", "blue"]
    assert main(["invert", str(pocket.view("mug")), "--out", str(runs / "pointed"), *pointed, *FEW]) == 0
    assert main(["invert", str(pocket.view("cup")), "--out", str(runs / "whole"), "--words", "red cup", *FEW]) == 0
    return "pointed", "whole"


def test_a_run_is_begun_again_with_its_clicks_and_settings(page: Page, learned: tuple[str, str]) -> None:
    home = page.url
    page.goto(f"{home}?run={learned[0]}")
    page.get_by_role("button", name="Change the words, learn again").click()
    expect(page.locator(".glow")).to_be_visible()
    expect(page.locator(".dot")).to_have_count(2)
    expect(page.get_by_label("Steps", exact=True)).to_have_value("2")
    expect(page.get_by_label("Flip")).to_be_checked()
    expect(page.get_by_label("Pictures on the way")).to_have_value("none")
    kept = json.loads(page.evaluate("sessionStorage.getItem('photowords-draft')"))
    assert kept["clicks"] == [{"x": 120, "y": 140, "not": False}, {"x": 5, "y": 5, "not": True}]
    assert [word["text"] for word in kept["words"]] == ["blue", "mug"] and kept["name"] == "blue"


def test_what_is_in_preparation_is_not_replaced_unasked(page: Page, learned: tuple[str, str]) -> None:
    home = page.url
    page.locator(".thumb").first.click()
    expect(page.locator(".chip.learned").first).to_be_visible()
    page.get_by_label("Name").fill("mine")
    asked: list[str] = []

    def no(dialog: Dialog) -> None:
        asked.append(dialog.message)
        dialog.dismiss()

    page.on("dialog", no)
    page.goto(f"{home}?run={learned[1]}")
    page.get_by_role("button", name="Change the words, learn again").click()
    assert len(asked) == 1 and "not learned yet" in asked[0]
    page.goto(home)
    expect(page.get_by_label("Name")).to_have_value("mine")


def test_two_concepts_come_into_another_text(page: Page, learned: tuple[str, str]) -> None:
    page.goto(f"{page.url}?run={learned[0]}")
    page.get_by_label("Add another learned thing").select_option(learned[1])
    expect(page.locator(".prompt-line select")).to_have_count(4)
    page.get_by_role("button", name="… on the beach").click()
    texts = page.locator(".prompt-line input.plain")
    assert [text.input_value() for text in texts.all()] == ["a photo of a ", " and ", " on the beach"]
    page.get_by_label("Seeds").fill("0, 0")
    page.get_by_role("button", name="Draw", exact=True).click()
    expect(page.locator("#seeds-problem")).to_have_text("Seed 0 is there twice; name each once.")


def test_more_steps_are_a_number(page: Page, learned: tuple[str, str]) -> None:
    page.goto(f"{page.url}?run={learned[1]}")
    page.get_by_label("More steps").fill("0")
    page.get_by_role("button", name="Learn more").click()
    expect(page.locator("#learn .refused")).to_have_text("More steps must be a whole number of at least 1.")
    expect(page.get_by_role("button", name="Export for A1111")).to_be_disabled()
    expect(page.get_by_role("button", name="Export for diffusers")).to_be_enabled()


def test_a_deleted_run_is_compared_no_more(page: Page, runs: Path) -> None:
    mug = str(pocket.view("mug"))
    assert main(["invert", mug, "--out", str(runs / "short-lived"), "--words", "blue mug", *FEW]) == 0
    page.on("dialog", lambda dialog: dialog.accept())
    page.goto(f"{page.url}?view=runs&compare=short-lived,nothing")
    expect(page.locator(".columns article")).to_have_count(1)
    page.get_by_role("button", name="Delete short-lived").click()
    expect(page.locator(".columns article")).to_have_count(0)
    assert "compare" not in page.url


def test_an_unknown_view_is_the_first_one(page: Page) -> None:
    page.goto(f"{page.url}?view=bogus")
    expect(page.locator(".bank img").first).to_be_visible()


def test_a_long_word_stays_on_a_narrow_screen(browser: Browser, address: str) -> None:
    for page in open_page(browser, address, NARROW, "light"):
        page.locator(".thumb").first.click()
        expect(page.locator(".chip.learned").first).to_be_visible()
        page.get_by_role("button", name="Add a word").click()
        page.keyboard.type("Straßenmusikantenverkleidungsgegenstandsaufbewahrungsbehälter")
        page.keyboard.press("Tab")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
