"""What comes late, again or from before does not stand in the way of what is shown now."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from photowords import pocket
from photowords.cli import main
from tests.browser.conftest import PATIENCE

FEW = ("--steps", "2", "--held-out", "4", "--device", "cpu", "--words", "blue mug")


@pytest.fixture(scope="module")
def learned(runs: Path) -> str:
    assert main(["invert", str(pocket.view("mug")), "--out", str(runs / "late"), "--samples", "1", *FEW]) == 0
    return "late"


def test_the_list_of_runs_goes_on_after_its_connection_broke(browser: Browser, address: str, learned: str) -> None:
    broken: list[str] = []

    def once(route: Route) -> None:
        if broken:
            route.continue_()
        else:
            broken.append(route.request.url)
            route.abort()

    context = browser.new_context()  # not watched: a broken connection is said in the console
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(address)
    page.get_by_role("link", name="Runs").wait_for()
    page.route("**/api/events", once)
    page.get_by_role("link", name="Runs").click()
    page.locator(f"#tick-{learned}").wait_for()
    assert len(broken) == 1
    context.close()


def test_a_card_stays_in_place_while_its_run_learns(browser: Browser, address: str, learned: str) -> None:
    row = {"run": "busy", "state": "learning", "steps": 9, "start_loss": None, "loss": None, "sentence": "blue mug"}
    steps = itertools.count(1)

    def a_step(route: Route) -> None:
        told = json.dumps({"runs": [{**row, "step": next(steps), "when": 1}]})
        if route.request.url.endswith("events"):
            route.fulfill(content_type="text/event-stream", body=f"event: runs\ndata: {told}\n\n")
        else:  # where one asks once the stream has ended
            route.fulfill(content_type="application/json", body=told)

    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(address)
    page.route(re.compile(r"/api/(events|runs)$"), a_step)
    page.get_by_role("link", name="Runs").click()
    card = page.locator(".run-list li")
    expect(card).to_contain_text("step")
    said = card.inner_text()
    card.evaluate("element => { element.marked = true; }")
    page.locator("#tick-busy").focus()
    expect(card).not_to_have_text(said)
    assert card.evaluate("element => element.marked")
    expect(page.locator("#tick-busy")).to_be_focused()
    context.close()


def test_a_prompt_of_a_deleted_run_of_the_same_name_is_forgotten(page: Page, learned: str) -> None:
    words = [{"text": text, "trainable": True} for text in ("old", "green", "teapot")]
    old = {"run": learned, "name": "x", "words": words, "uses": [{"use": "learned"}] * 3}
    kept = json.dumps({"parts": ["a sketch of ", old, ""], "seeds": "5", "negative": "", "settings": {}})
    page.evaluate("([key, kept]) => sessionStorage.setItem(key, kept)", [f"photowords-use-{learned}", kept])
    page.goto(f"{page.url}?run={learned}")
    expect(page.get_by_label("Seeds")).to_have_value("5")
    expect(page.locator(".prompt-line select")).to_have_count(2)
    assert page.locator(".prompt-line input.plain").first.input_value() == "a photo of a "


def test_a_batchs_settings_come_back_with_its_prompt(page: Page, learned: str) -> None:
    page.goto(f"{page.url}?run={learned}")
    page.locator("#use summary", has_text="More settings").click()
    steps = page.locator("#use-steps")
    steps.fill("2")
    page.get_by_label("Seeds").fill("3")
    page.get_by_role("button", name="Draw", exact=True).click()
    expect(page.locator(".batch img")).to_have_count(1)
    steps.fill("9")
    page.get_by_label("Seeds").fill("4")
    page.locator(".batch summary").click()
    page.get_by_role("button", name="Start from this prompt").click()
    expect(page.get_by_label("Seeds")).to_have_value("3")
    expect(steps).to_have_value("2")


def test_a_run_that_went_on_shows_its_new_pictures(page: Page, learned: str) -> None:
    page.goto(f"{page.url}?run={learned}")
    pictures = page.locator(".samples img")
    expect(pictures).to_have_count(2)
    page.locator("#more").fill("2")
    page.get_by_role("button", name="Learn more").click()
    expect(pictures.last).to_have_attribute("alt", "What the model draws: step 4")
    expect(pictures).to_have_count(2)
