"""The page in a real browser: drawing, trying, adding and removing, errors, a reload; by mouse, finger and keyboard. No request leaves."""

import json
import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cases.served import served

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path(CHROMIUM).exists(), reason="Debian's chromium is not installed: apt-get install chromium"),
]
CROSS = [[(0.25, 0.25), (0.75, 0.75)], [(0.75, 0.25), (0.25, 0.75)]]
RING = [[(0.5 + 0.3 * math.sin(turn * math.pi / 4), 0.5 - 0.3 * math.cos(turn * math.pi / 4)) for turn in range(9)]]
HOOK = [[(0.3, 0.2), (0.3, 0.75), (0.7, 0.75)]]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(tmp_path_factory.mktemp("served")) as found:
        yield found.rstrip("/")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
    flags = ["--no-sandbox", "--disable-gpu", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    with playwright.sync_playwright() as running:
        opened = running.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Any, url: str) -> Iterator[Any]:
    """A page of its own, that must say nothing on the console and ask nobody else."""
    with fresh_page(browser, url) as found:
        yield found


class fresh_page:  # noqa: N801  # a context manager
    def __init__(self, browser: Any, url: str, **how: Any) -> None:
        self.context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **how})
        self.said: list[str] = []
        self.asked: list[str] = []
        self.url = url

    def __enter__(self) -> Any:
        page = self.context.new_page()
        page.on("console", lambda message: self.said.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("request", lambda request: self.asked.append(request.url))
        page.goto(self.url)
        page.said = self.said
        return page

    def __exit__(self, *error: object) -> None:
        self.context.close()
        assert [url for url in self.asked if not url.startswith((self.url, "data:"))] == []
        assert [words for words in self.said if "Failed to load resource" not in words] == []


def draw(page: Any, canvas: Any, strokes: list[list[tuple[float, float]]], *, wobble: float = 0.0) -> None:
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    side = min(box["width"], box["height"])
    for stroke in strokes:
        for place, (x, y) in enumerate(stroke):
            page.mouse.move(box["x"] + side * (x + wobble * (place % 2)), box["y"] + side * (y + wobble), steps=2)
            if place == 0:
                page.mouse.down()
        page.mouse.up()


def teach(page: Any, *drawings: list[list[tuple[float, float]]]) -> None:
    for place, strokes in enumerate(drawings):
        draw(page, page.locator(".card canvas").nth(place), strokes)


def until(page: Any, expression: str, *, seconds: float = 20) -> None:
    page.wait_for_function(f"() => {expression}", timeout=1000 * seconds)  # a function: the page's policy forbids to evaluate a text


def answer(page: Any, words: str, *, seconds: float = 20) -> None:
    try:
        until(page, f"document.getElementById('answer').textContent === {json.dumps(words)}", seconds=seconds)
    except Exception as error:  # a timeout, which says nothing of the page
        told = {part: page.locator(f"#{part}").text_content() for part in ("answer", "caption", "notice-text", "status")}
        raise AssertionError(f"expected the answer {words!r}; found {told}") from error


def values(page: Any) -> list[str]:
    found: list[str] = page.locator("#bars .value").all_inner_texts()
    return found


def test_draw_each_once_and_one_again(page: Any) -> None:
    assert page.inner_text("#answer") == "First draw at least two symbols in step 1."
    teach(page, CROSS, RING, HOOK)
    answer(page, "Now draw one of your symbols here.")
    until(page, "document.querySelectorAll('#bars li').length === 3")
    assert values(page) == ["–", "–", "–"]
    probe = page.locator("#probe canvas")
    draw(page, probe, RING, wobble=0.03)
    answer(page, "This is Symbol 2.")
    first = values(page)
    assert int(first[1].split()[0]) > 60
    assert page.locator(".card.won input").input_value() == "Symbol 2"
    assert "Learnt from 3 drawings of 3 symbols · answered in" in page.inner_text("#status")
    page.get_by_role("button", name="Draw another").click()
    answer(page, "Now draw one of your symbols here.")
    draw(page, probe, CROSS, wobble=0.02)
    answer(page, "This is Symbol 1.")
    assert values(page) != first


def test_what_was_tried_is_added_and_a_class_is_removed(page: Any) -> None:
    teach(page, CROSS, RING)
    draw(page, page.locator("#probe canvas"), HOOK)
    page.wait_for_selector("#chips button")
    page.get_by_role("button", name="A new symbol").click()
    answer(page, "Now draw one of your symbols here.")
    assert len(values(page)) == 3
    draw(page, page.locator("#probe canvas"), HOOK, wobble=0.02)
    answer(page, "This is Symbol 3.")
    page.get_by_role("button", name="Symbol 3", exact=True).click()  # the drawing is one more example of it
    until(page, "document.querySelectorAll('.card')[2].querySelectorAll('.thumb').length === 1")
    page.get_by_role("button", name="Remove this example of Symbol 3").click()
    page.get_by_role("button", name="Remove Symbol 3", exact=True).click()
    until(page, "document.querySelectorAll('#bars li').length === 2")
    draw(page, page.locator("#probe canvas"), CROSS, wobble=0.02)
    answer(page, "This is Symbol 1.")
    page.get_by_role("textbox", name="Name of Symbol 1").fill("Kiss")
    answer(page, "This is Kiss.")


def test_what_is_none_of_them_is_said_and_learnt(page: Any) -> None:
    page.get_by_role("button", name="Fill in an example").click()
    answer(page, "Now draw one of your symbols here.")
    star = [[(0.3, 0.1), (0.7, 0.8)], [(0.7, 0.1), (0.3, 0.8)], [(0.5, 0.05), (0.5, 0.85)]]
    probe = page.locator("#probe canvas")
    draw(page, probe, star)
    answer(page, "None of these, perhaps.")
    assert page.inner_text("#next-text") == "Something new? Add it, and it is known from now on."
    assert page.locator(".card.won").count() == 0
    page.locator("#chips .primary").click()
    until(page, "document.querySelectorAll('#bars li').length === 4")
    draw(page, probe, star, wobble=0.02)
    answer(page, "This is Symbol 4.")


def test_it_asks_for_the_thing_that_would_teach_it_most(page: Any) -> None:
    teach(page, CROSS, RING)
    for strokes in (HOOK, RING):
        draw(page, page.locator("#probe canvas"), strokes, wobble=0.01)
        page.wait_for_selector("#next:not([hidden])")
        page.get_by_role("button", name="Draw another").click()
    page.wait_for_selector("#suggested:not([hidden])")
    assert page.inner_text("#suggested p") == "Of what you tried, this drawing would teach it most. What is it?"
    page.get_by_role("button", name="Look at this again").click()
    page.wait_for_selector("#next:not([hidden])")
    page.get_by_role("button", name="A new symbol").click()
    until(page, "document.querySelectorAll('#bars li').length === 3")


def test_a_drawing_that_goes_on_while_the_server_learns_is_told_in_the_end(page: Any) -> None:
    late = "await new Promise(go => setTimeout(go, 700))"
    slow = f"() => {{ const ask = window.fetch; window.fetch = async (...of) => {{ {late}; return ask(...of); }}; }}"
    page.evaluate(slow)
    first = page.locator(".card canvas").nth(0)
    draw(page, first, CROSS[:1])
    draw(page, page.locator(".card canvas").nth(1), RING)
    page.wait_for_timeout(600)  # the server is being told
    draw(page, first, CROSS[1:])
    page.get_by_role("textbox", name="Name of Symbol 2").fill("Ring")
    kept = "JSON.parse(localStorage.getItem('kshot.page.1')).draw"
    told = f"{kept}.classes.slice(0, 2).every(one => String({kept}.task?.classes[one.name]) === one.examples[0].key)"
    until(page, f"{told} && Object.keys({kept}.task.classes).length === 2")
    listed = page.evaluate(f"async () => (await fetch('v1/tasks/' + {kept}.task.id)).json()")
    assert {name: len(one["examples"]) for name, one in listed["classes"].items()} == {"Symbol 1": 1, "Ring": 1}
    draw(page, page.locator("#probe canvas"), CROSS, wobble=0.02)
    answer(page, "This is Symbol 1.")


def test_a_reload_keeps_everything(page: Any) -> None:
    teach(page, CROSS, RING)
    draw(page, page.locator("#probe canvas"), RING, wobble=0.02)
    answer(page, "This is Symbol 2.")
    page.reload()
    answer(page, "This is Symbol 2.")
    assert page.locator(".card").count() == 3
    page.get_by_role("button", name="Start over").click()
    answer(page, "First draw at least two symbols in step 1.")
    page.reload()
    assert page.inner_text("#answer") == "First draw at least two symbols in step 1."


def test_a_class_may_have_any_name(page: Any) -> None:
    teach(page, CROSS, RING)
    draw(page, page.locator("#probe canvas"), CROSS, wobble=0.02)
    answer(page, "This is Symbol 1.")
    page.get_by_role("textbox", name="Name of Symbol 2").fill("Ring")
    kept = "JSON.parse(localStorage.getItem('kshot.page.1')).draw.task"
    for name in ("constructor", "__proto__", "<img src=x onerror=alert(1)>", "greek/α?b#c%2F", "  spaces  "):
        page.get_by_role("textbox", name="Name of Symbol 1").fill(name)
        shown = name.strip()
        answer(page, f"This is {shown}.")
        until(page, f"[...document.querySelectorAll('#bars .name')].some(one => one.textContent === {json.dumps(shown)})")
        told = f"Object.keys({kept}.classes).sort().join() === {json.dumps([shown, 'Ring'])}.sort().join()"
        until(page, told)  # the class of the name before is gone from the server too
        listed = page.evaluate(f"async () => Object.keys((await (await fetch('v1/tasks/' + {kept}.id)).json()).classes)")
        assert {*listed} == {shown, "Ring"}
    page.locator(".card .icon[title=Remove]").nth(0).click()
    answer(page, "First draw at least two symbols in step 1.")


def test_a_server_that_is_away_and_comes_back(page: Any) -> None:
    page.context.route("**/v1/**", lambda route: route.abort())
    teach(page, CROSS, RING)
    page.wait_for_selector("#notice:not([hidden])")
    assert "The server does not answer. What you have made is kept here" in page.inner_text("#notice-text")
    page.context.unroute("**/v1/**")
    page.get_by_role("button", name="Try again").click()
    answer(page, "Now draw one of your symbols here.")
    assert page.locator("#notice").is_hidden()


def test_a_task_that_was_deleted_is_made_again(page: Any) -> None:
    teach(page, CROSS, RING)
    answer(page, "Now draw one of your symbols here.")
    page.evaluate("fetch('v1/tasks/' + JSON.parse(localStorage.getItem('kshot.page.1')).draw.task.id, {method: 'DELETE'})")
    draw(page, page.locator("#probe canvas"), CROSS, wobble=0.02)
    answer(page, "This is Symbol 1.")


def test_a_refusal_is_shown_in_the_server_s_words(page: Any) -> None:
    body = '{"title": "no", "detail": "classes.a: no ink <b>here</b>"}'

    def refuse(route: Any) -> None:
        route.fulfill(status=422, content_type="application/problem+json", body=body)

    page.context.route("**/v1/tasks", refuse)
    teach(page, CROSS, RING)
    page.wait_for_selector("#notice:not([hidden])")
    assert page.inner_text("#notice-text") == "classes.a: no ink <b>here</b>"


def test_a_key_is_asked_for_and_sent(page: Any) -> None:
    sent: list[str] = []

    def guard(route: Any) -> None:
        sent.append(route.request.headers.get("authorization", ""))
        if sent[-1] == "Bearer right":
            route.continue_()
        else:
            route.fulfill(status=401, content_type="application/problem+json", body='{"title": "a key is needed"}')

    page.context.route("**/v1/**", guard)
    teach(page, CROSS, RING)
    page.get_by_role("textbox", name="Key").fill("right")
    page.get_by_role("button", name="Use this key").click()
    answer(page, "Now draw one of your symbols here.")
    assert "right" not in page.evaluate("JSON.stringify(localStorage)")


def test_by_keyboard_alone(page: Any) -> None:
    page.locator(".card canvas").nth(0).focus()
    for keys in ("Space", *["ArrowDown"] * 5, "Space"):
        page.keyboard.press(keys)
    page.locator(".card canvas").nth(1).focus()
    for keys in ("Space", *["ArrowRight"] * 5, *["ArrowUp"] * 5, *["ArrowLeft"] * 5, *["ArrowDown"] * 5, "Space"):
        page.keyboard.press(keys)
    answer(page, "Now draw one of your symbols here.")
    page.locator("#probe canvas").focus()
    for keys in ("Space", *["ArrowRight"] * 4, *["ArrowUp"] * 4, *["ArrowLeft"] * 4, *["ArrowDown"] * 4, "Space"):
        page.keyboard.press(keys)
    answer(page, "This is Symbol 2.")
    page.keyboard.press("Delete")
    answer(page, "Now draw one of your symbols here.")
    page.locator("#tab-draw").focus()
    page.keyboard.press("ArrowRight")
    assert page.locator("#tab-photos").get_attribute("aria-selected") == "true"
    controls = "[...document.querySelectorAll('button, input, canvas, textarea')]"
    assert page.evaluate(f"() => {controls}.filter(one => !(one.ariaLabel || one.textContent || one.labels?.length)).length") == 0


def test_a_finger_on_a_narrow_phone(browser: Any, url: str) -> None:
    with fresh_page(browser, url, viewport={"width": 320, "height": 640}, has_touch=True, is_mobile=True) as page:
        assert page.evaluate("document.documentElement.scrollWidth") == 320
        page.get_by_role("button", name="Fill in an example").tap()
        answer(page, "Now draw one of your symbols here.")
        page.get_by_role("link", name="Now try it").tap()
        until(page, "document.getElementById('try').getBoundingClientRect().top < 100")
        box = page.locator("#probe canvas").bounding_box()
        page.touchscreen.tap(box["x"] + 40, box["y"] + 40)
        until(page, "document.getElementById('answer').textContent !== 'Now draw one of your symbols here.'")
        assert page.evaluate("document.documentElement.scrollWidth") == 320


def test_messages(page: Any) -> None:
    page.click("#tab-texts")
    page.get_by_role("button", name="Fill in an example").click()
    answer(page, "Now write a message.", seconds=180)
    page.fill("#probe textarea", "Why did you take my money two times?")
    until(page, "document.getElementById('answer').textContent.includes('Billing')")
    page.locator(".add-line input").first.fill("Your invoice is wrong")
    page.keyboard.press("Enter")
    until(page, "document.querySelectorAll('.lines li').length === 4")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "An example of Billing"
    page.reload()
    until(page, "document.getElementById('answer').textContent.includes('Billing')")


def test_photos_from_files_and_from_the_camera(page: Any, tmp_path: Path) -> None:
    from PIL import Image

    for name, colour in (("red", "crimson"), ("blue", "navy")):
        Image.radial_gradient("L").convert("RGB").resize((300, 200)).save(tmp_path / f"{name}.png")
        Image.blend(Image.open(tmp_path / f"{name}.png"), Image.new("RGB", (300, 200), colour), 0.7).save(tmp_path / f"{name}.png")
    (tmp_path / "no.png").write_text("no picture")
    page.click("#tab-photos")
    for place, name in enumerate(("red", "blue")):
        page.locator(".card input[type=file]").nth(place).set_input_files(tmp_path / f"{name}.png")
        until(page, f"document.querySelectorAll('.card .thumb').length === {place + 1}")
    answer(page, "Now show it a photo.", seconds=180)
    page.locator("#probe input[type=file]").set_input_files(tmp_path / "blue.png")
    answer(page, "This is Thing 2.")
    page.locator("#probe input[type=file]").set_input_files(tmp_path / "no.png")
    page.wait_for_selector("#notice:not([hidden])")
    assert "This browser cannot open no.png as a picture" in page.inner_text("#notice-text")
    page.get_by_role("button", name="Use the camera").click()
    page.get_by_role("button", name="Take it now").first.click()
    until(page, "document.querySelectorAll('.card .thumb').length === 3")
    until(page, "document.querySelector('video') && !document.querySelector('video').paused")
    page.get_by_role("button", name="Stop the camera").click()
    assert page.locator("video").count() == 0


def test_the_files_are_served_with_a_strict_policy(url: str) -> None:
    import httpx

    for path in ("/", "/page/page.css", "/page/page.js", "/page/icon.svg"):
        found = httpx.get(f"{url}{path}")
        policy = found.headers["content-security-policy"]
        assert found.status_code == 200
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert found.headers["x-content-type-options"].startswith("nosniff")
        assert httpx.get(f"{url}{path}", headers={"If-None-Match": found.headers["etag"]}).status_code == 304
        assert httpx.head(f"{url}{path}").status_code == 200
    assert httpx.get(f"{url}/page/route.py").status_code == 404
