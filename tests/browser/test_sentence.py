"""A sentence that is on its way never takes the place of what the user typed, nor of another part of the photo."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from playwright.sync_api import Error, Page, Route, expect

from tests.browser.test_story import click_on_photo

LATE = {"words": [{"text": "late", "trainable": True}], "label": None, "said": "late", "warnings": []}


@pytest.fixture
def held(page: Page) -> list[Route]:
    """The mug on the page, its sentence read; the sentences that are asked for from here on wait in this list."""
    page.drag_and_drop(".thumb:has-text('mug')", ".drop")
    expect(page.locator(".chip.learned").first).to_be_visible()
    expect(page.locator("#sentence")).to_have_attribute("aria-busy", "false")
    routes: list[Route] = []
    page.route("**/api/sentence", lambda route: routes.append(route))
    return routes


def answer(page: Page, routes: list[Route]) -> None:
    """Let them come, and give the page the time to take them in."""
    for route in routes:
        with suppress(Error):  # the page no longer wants it
            route.fulfill(json=LATE)
    page.wait_for_timeout(500)


def reading(page: Page, routes: list[Route], count: int) -> None:
    expect(page.get_by_text("Reading the photo…")).to_be_visible()
    for _ in range(100):
        if len(routes) == count:
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"{len(routes)} sentences were asked for, not {count}")


def test_words_typed_while_the_photo_is_read_stay(page: Page, held: list[Route]) -> None:
    click_on_photo(page, 0.5, 0.6)
    reading(page, held, 1)
    words = page.locator(".chip input")
    words.first.fill("small")
    page.locator("#sentence-title").click()  # a word that is being written is not redrawn anyway
    answer(page, held)
    expect(words.first).to_have_value("small")
    assert "late" not in [word.input_value() for word in words.all()]
    expect(page.locator("#sentence")).to_have_attribute("aria-busy", "false")


def test_the_plain_words_are_drawn_by_the_model_of_what_was_clicked(page: Page, held: list[Route]) -> None:
    with page.expect_response("**/api/mask"):
        click_on_photo(page, 0.5, 0.6)
    reading(page, held, 1)
    with page.expect_request("**/api/pictures") as drawing:
        page.get_by_role("button", name="See what the model draws").click()
    pictures, sentence = (json.loads(one.post_data or "") for one in (drawing.value, held[0].request))
    assert len(sentence["clicks"]) == 1
    for key in ("photo", "clicks", "box"):
        assert pictures[key] == sentence[key], key
    expect(page.locator(".drawn .grid img").first).to_be_visible()


def test_the_sentence_of_a_click_that_was_taken_back_is_not_shown(page: Page, held: list[Route]) -> None:
    words = page.locator(".chip input")
    before = [word.input_value() for word in words.all()]
    click_on_photo(page, 0.5, 0.6)
    reading(page, held, 1)
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("#sentence")).to_have_attribute("aria-busy", "false")
    answer(page, held)
    assert [word.input_value() for word in words.all()] == before
