"""What goes wrong beside the page: who may enter, answers that come after the photo was changed, halves of things."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from photowords import pocket
from photowords.cli import main
from tests.browser.conftest import PATIENCE
from tests.browser.test_story import click_on_photo

FEW = ("--steps", "2", "--held-out", "4", "--device", "cpu", "--words", "blue mug", "--samples", "1")


@pytest.fixture(scope="module")
def learned(runs: Path) -> str:
    assert main(["invert", str(pocket.view("mug")), "--out", str(runs / "odd"), *FEW]) == 0
    return "odd"


def test_the_password_is_typed_into_the_page(browser: Browser, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "photowords", "web", "--runs", str(tmp_path), "--port", "0", "--host", "0.0.0.0"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "PHOTOWORDS_PASSWORD": "correct horse battery"}
    server = subprocess.Popen([*command, "--password"], stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert server.stdout is not None
        said = ""
        while not (found := re.search(r"http://[^:/]+:(\d+)", said)):
            said += server.stdout.readline()
        page = browser.new_context().new_page()
        page.set_default_timeout(PATIENCE)
        page.goto(f"http://127.0.0.1:{found[1]}/")
        page.get_by_label("Password").fill("wrong horse")
        page.get_by_role("button", name="Open").click()
        expect(page.get_by_role("alert")).to_have_text("That is not the password.")
        page.get_by_label("Password").fill("correct horse battery")
        page.get_by_role("button", name="Open").click()
        expect(page.locator(".thumb").first).to_be_visible()
        page.context.close()
    finally:
        server.terminate()
        server.wait(30)


def test_a_page_that_is_not_let_in_any_more_says_so(loose: Page, learned: str) -> None:
    loose.goto(f"{loose.url}?run={learned}")
    expect(loose.get_by_role("button", name="Draw with it")).to_be_visible()
    loose.context.clear_cookies()
    expect(loose.locator("#offline")).to_contain_text("open the page with the address that photowords web printed")


def test_what_was_drawn_of_a_batch_that_failed_is_shown(page: Page, learned: str) -> None:
    told = {"id": "x", "prompt": "a mug", "when": 1, "settings": {}, "seeds": [0, 1], "error": "the worker ended"}
    told |= {"state": "failed", "pictures": [{"seed": 0, "url": "/api/bank/mug.png"}]}
    page.route(re.compile(r"/api/pictures/[^/]+$"), lambda route: route.fulfill(json=told))
    page.goto(f"{page.url}?run={learned}")
    page.get_by_role("button", name="Draw", exact=True).click()
    expect(page.locator(".batch, .drawn, #use").get_by_text("the worker ended").first).to_be_visible()
    expect(page.locator("#use .picture img")).to_have_count(1)


def test_an_enlarged_picture_goes_with_its_screen(page: Page, learned: str) -> None:
    page.get_by_role("link", name="Runs").click()
    page.locator(f"a[href='/?run={learned}']").first.click()
    page.get_by_role("button", name="Draw", exact=True).click()
    page.locator("#use .picture").first.click()
    expect(page.locator("dialog#big")).to_be_visible()
    page.go_back()
    expect(page.locator("#runs")).to_be_visible()
    expect(page.locator("dialog#big")).to_be_hidden()


def test_the_mask_is_of_the_newest_clicks_after_a_reload_as_well(page: Page) -> None:
    page.drag_and_drop(".thumb:has-text('mug')", ".drop")
    click_on_photo(page, 0.5, 0.6)
    expect(page.locator(".glow")).to_be_visible()
    held: list[Route] = []
    page.route("**/api/mask", lambda route: held.append(route))
    click_on_photo(page, 0.08, 0.08, "Shift")
    expect(page.locator(".dot")).to_have_count(2)
    page.unroute_all(behavior="ignoreErrors")
    with page.expect_response("**/api/mask") as answer:
        page.reload()
    asked = json.loads(answer.value.request.post_data or "")
    assert len(asked["clicks"]) == 2


def test_a_click_outside_the_box_takes_its_place(page: Page) -> None:
    page.drag_and_drop(".thumb:has-text('mug')", ".drop")
    image = page.locator(".surface img").bounding_box()
    assert image is not None
    page.mouse.move(image["x"] + 0.3 * image["width"], image["y"] + 0.3 * image["height"])
    page.mouse.down()
    page.mouse.move(image["x"] + 0.5 * image["width"], image["y"] + 0.5 * image["height"], steps=4)
    page.mouse.up()
    expect(page.locator(".marks .box")).to_have_count(1)
    with page.expect_response("**/api/mask") as answer:
        click_on_photo(page, 0.7, 0.7)
    assert answer.value.status == 200
    expect(page.locator(".marks .box")).to_have_count(0)
    expect(page.locator(".dot")).to_have_count(1)
    expect(page.locator("#stage .problem")).to_have_text("")


def test_another_photo_is_not_learned_by_the_answer_of_the_one_before(page: Page) -> None:
    page.drag_and_drop(".thumb:has-text('mug')", ".drop")
    expect(page.locator(".chip.learned").first).to_be_visible()
    held: list[Route] = []
    page.route(re.compile(r"/api/runs$"), lambda r: held.append(r) if r.request.method == "POST" else r.continue_())
    page.get_by_role("button", name="Learn these words").click()
    page.wait_for_timeout(300)
    page.locator(".chip input").first.fill("navy")
    expect(page.get_by_role("button", name="Learn these words")).to_be_disabled()
    page.get_by_role("button", name="Another photo").click()
    page.drag_and_drop(".thumb:has-text('cup')", ".drop")
    expect(page.locator(".chip.learned").first).to_be_visible()
    assert len(held) == 1
    held[0].fulfill(json={"run": "late-1"}, status=201)
    page.wait_for_timeout(500)
    assert "run=" not in page.url
    assert page.evaluate("() => JSON.parse(sessionStorage.getItem('photowords-draft')).ran") is None


def test_pictures_of_the_sentence_before_do_not_come_back(page: Page) -> None:
    page.drag_and_drop(".thumb:has-text('mug')", ".drop")
    expect(page.locator("#sentence")).to_have_attribute("aria-busy", "false")
    expect(page.locator(".chip.learned").first).to_be_visible()
    told = {"id": "x", "prompt": "a mug", "when": 1, "settings": {}, "seeds": [0], "state": "drawing", "pictures": []}
    page.route(re.compile(r"/api/pictures/[^/]+$"), lambda route: route.fulfill(json=told))
    page.get_by_role("button", name="See what the model draws").click()
    expect(page.locator(".drawn .blank")).to_have_count(1)
    with page.expect_response("**/api/sentence"):
        click_on_photo(page, 0.5, 0.6)
    expect(page.locator(".drawn .blank")).to_have_count(0)
    told |= {"state": "done", "pictures": [{"seed": 0, "url": "/api/bank/mug.png"}]}
    page.wait_for_timeout(1500)
    expect(page.locator(".drawn img")).to_have_count(0)
