"""What is pressed does what it says, also beside a word that is being written, in many tabs, and after a failure."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from photowords import pocket
from photowords.cli import main
from tests.browser.test_late import FEW

HIDE = """hidden => {
  Object.defineProperty(document, "hidden", { get: () => hidden, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


@pytest.fixture(scope="module")
def learned(runs: Path) -> str:
    assert main(["invert", str(pocket.view("mug")), "--out", str(runs / "pressed"), "--samples", "1", *FEW]) == 0
    return "pressed"


def test_a_button_beside_an_empty_word_is_pressed_at_once(page: Page) -> None:
    page.drag_and_drop(".thumb:has-text('mug')", ".drop")
    words = page.locator(".chip input")
    expect(words.first).to_be_visible()
    count = words.count()
    add = page.get_by_role("button", name="Add a word")
    add.click()
    expect(words).to_have_count(count + 1)
    page.locator(".drop-word").first.click()
    expect(words).to_have_count(count - 1)
    add.click()
    add.click()
    expect(words).to_have_count(count)
    expect(words.last).to_be_focused()
    words.first.click()  # the empty one goes, and the other keeps the cursor
    expect(words).to_have_count(count - 1)
    expect(words.first).to_be_focused()
    page.keyboard.type("old")
    expect(page.get_by_role("button", name=f"Leave out {words.first.input_value()}", exact=True)).to_be_attached()
    assert "old" in words.first.input_value()


def test_a_hidden_tab_keeps_no_connection(loose: Page, address: str, learned: str) -> None:
    with loose.expect_request("**/events") as first:
        loose.goto(f"{address.split('?')[0]}?run={learned}")
    expect(loose.locator(".state.done")).to_be_visible()
    with loose.expect_event("requestfailed", lambda request: request is first.value):
        loose.evaluate(HIDE, True)
    with loose.expect_request(f"**/api/runs/{learned}"):  # now and then
        pass
    with loose.expect_request("**/events"):
        loose.evaluate(HIDE, False)


def test_a_photo_that_could_not_be_read_is_read_again(loose: Page) -> None:
    loose.route("**/api/sentence", lambda route: route.abort())
    loose.drag_and_drop(".thumb:has-text('mug')", ".drop")
    again = loose.get_by_role("button", name="Read the photo again")
    expect(again).to_be_visible()
    loose.unroute("**/api/sentence")
    again.click()
    expect(loose.locator(".chip.learned").first).to_be_visible()
    expect(again).to_be_hidden()
    loose.route("**/api/mask", lambda route: route.abort())
    box = loose.locator(".surface").bounding_box()
    assert box is not None
    loose.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(loose.locator("#stage-told")).to_have_text(
        "What these clicks mean is not known yet: click again, or clear them."
    )


def test_what_is_refused_on_a_runs_page_stays(loose: Page, address: str, learned: str) -> None:
    loose.route("**/api/runs/*/photo", lambda route: route.fulfill(status=404, json={"error": "its photo is gone"}))
    loose.goto(f"{address.split('?')[0]}?run={learned}")
    loose.get_by_role("button", name="Change the words, learn again").click()
    problem = loose.locator("#learn .problem", has_text="its photo is gone")
    expect(problem).to_be_visible()
    loose.evaluate(HIDE, False)  # a new state comes
    loose.wait_for_timeout(500)
    expect(problem).to_be_visible()
