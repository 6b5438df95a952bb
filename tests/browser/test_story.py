"""The whole way through the page, as a person goes it: from a photo to pictures and a file for another program."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page, expect

import photowords

STEPS = 20


def share(page: Page) -> float:
    """The part of the photo that the mask on the page covers, from the picture's own pixels."""
    covered = page.evaluate(
        """async () => {
          const url = document.querySelector(".glow > image").getAttribute("href");
          const picture = await createImageBitmap(await (await fetch(url)).blob());
          const canvas = new OffscreenCanvas(picture.width, picture.height);
          const drawing = canvas.getContext("2d");
          drawing.drawImage(picture, 0, 0);
          const pixels = drawing.getImageData(0, 0, picture.width, picture.height).data;
          let sum = 0;
          for (let i = 3; i < pixels.length; i += 4) sum += pixels[i] / 255;
          return sum / (picture.width * picture.height);
        }"""
    )
    return float(covered)


def click_on_photo(page: Page, x: float, y: float, *keys: str) -> None:
    """Click at a part of the photo's width and height."""
    box = page.locator(".surface img").bounding_box()
    assert box is not None
    for key in keys:
        page.keyboard.down(key)
    page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])
    for key in keys:
        page.keyboard.up(key)


def select_by_clicks(page: Page) -> None:
    page.drag_and_drop(".thumb:has-text('mug')", ".drop")
    expect(page.locator(".chip.learned").first).to_be_visible()
    click_on_photo(page, 0.5, 0.6)
    expect(page.locator(".glow")).to_be_visible()
    one = share(page)
    assert 0.1 < one < 0.6
    expect(page.locator("#stage-told")).to_contain_text(f"{round(100 * one)} % of the photo")
    with page.expect_response("**/api/mask"):
        click_on_photo(page, 0.08, 0.08, "Shift")
    expect(page.locator(".dot.off")).to_have_count(1)
    with page.expect_response("**/api/mask"):
        page.get_by_role("button", name="Undo").click()
    expect(page.locator(".dot")).to_have_count(1)
    expect(page.locator(".chip.learned").first).to_be_visible()


def change_words(page: Page) -> list[str]:
    """Edit the first word, keep the second as it is, add one. Returns the sentence."""
    expect(page.locator("#stage.busy")).to_have_count(0)
    expect(page.locator("#sentence")).to_have_attribute("aria-busy", "false")
    words = page.locator(".chip input")
    words.first.fill("small blue")
    words.first.press("Tab")
    expect(words.nth(1)).to_have_value("blue")
    words.nth(0).focus()
    page.get_by_role("button", name="Keep this word as it is").and_(page.locator(":visible")).click()
    expect(page.locator(".chip.kept")).to_have_count(1)
    return [word.input_value() for word in words.all()]


def learn(page: Page) -> str:
    """Learn, reload in the middle, stop, go on to the end. Returns the run's name."""
    page.get_by_label("Steps", exact=True).fill(str(STEPS))
    page.locator("#learn summary").click()
    page.locator("#learn-evaluate_every").fill("1")
    page.locator("#learn-held_out").fill("96")  # so that there is time to stop it
    page.get_by_label("Pictures on the way").select_option("ends")
    page.get_by_role("button", name="Learn these words").click()
    points = page.locator(".series circle")
    expect(points.nth(2)).to_be_attached()
    before = page.locator(".series path").get_attribute("d") or ""
    more = before.count("L") + 1
    expect(points.nth(more)).to_be_attached()
    assert page.locator(".series path").get_attribute("d") != before
    page.reload()
    expect(points.nth(more)).to_be_attached()
    page.get_by_role("button", name="Stop here").click()
    expect(page.locator(".state")).to_contain_text("Stopped")
    page.get_by_role("button", name="Go on").click()
    expect(page.locator(".state")).to_contain_text(f"Learned: step {STEPS} of {STEPS}")
    expect(points).to_have_count(STEPS + 1)
    expect(page.locator(".samples img")).to_have_count(2)
    return page.url.split("run=")[1]


def use(page: Page, words: list[str]) -> None:
    """Draw with a swapped word."""
    choices = page.locator(".prompt-line select")
    expect(choices).to_have_count(len(words))
    choices.last.select_option("another")
    page.get_by_label(f"Instead of {words[-1]}").fill("teapot")
    page.get_by_label("Before the words").fill("a photo of a ")
    page.get_by_label("After the words").fill("in the snow")
    page.get_by_label("Seeds").fill("3-4")
    page.get_by_role("button", name="Draw", exact=True).click()
    pictures = page.locator("#use .picture img")
    expect(pictures).to_have_count(2)
    for picture in pictures.all():
        expect(picture).to_have_js_property("naturalWidth", photowords.pocket.SIDE)
    page.locator(".batch summary").first.click()
    expect(page.locator(".batch dd").first).to_contain_text(f"{words[-1]}=teapot")


def test_from_a_photo_to_pictures_and_an_export(page: Page, runs: Path, tmp_path: Path) -> None:
    select_by_clicks(page)
    words = change_words(page)
    run = learn(page)
    use(page, words)
    with page.expect_download() as download:
        page.get_by_role("button", name="Export for diffusers").click()
    file = tmp_path / download.value.suggested_filename
    download.value.save_as(file)
    concept = photowords.read(file)
    assert [word.text for word in concept.words] == words
    assert [word.trainable for word in concept.words] == [False] + [True] * (len(words) - 1)
    assert (runs / run / "concept.safetensors").is_file()
    page.get_by_role("button", name="See what each word learned").click()
    expect(page.locator("#sentence tbody tr")).to_have_count(len(words))
    page.reload()  # what was drawn is still there
    expect(page.locator("#use .picture img")).to_have_count(2)
    page.get_by_role("link", name="Runs").click()
    page.locator(".run", has_text=run).get_by_label("compare").check()
    expect(page.locator(".compared .series circle")).to_have_count(STEPS + 1)
