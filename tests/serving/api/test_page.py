"""The user's page in a real browser: with the keyboard alone, and on a phone."""

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect, sync_playwright

from tests.serving.api.served import (
    ANNA,
    BERT,
    Served,
    preference,
    profile,
    serving,
    stable,
    world,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("page")]

CHROMIUM_ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]
HOSTILE = "<img src=x onerror=alert(1)>"
TABS = 60


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        path = shutil.which("chromium")
        assert path is not None, "install chromium: make test does it"
        with playwright.chromium.launch(
            executable_path=path, args=CHROMIUM_ARGUMENTS, headless=True
        ) as launched:
            yield launched


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path) as api:
        yield api


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 320, "height": 640}, accept_downloads=True)
    opened = context.new_page()
    troubles: list[str] = []
    opened.on("pageerror", lambda error: troubles.append(str(error)))
    opened.on("dialog", lambda dialog: troubles.append(dialog.message))
    opened.set_default_timeout(20_000)
    yield opened
    context.close()
    assert troubles == []


def tab_to(page: Page, name: str) -> None:
    """Press Tab until what has this name is focused."""
    for _ in range(TABS):
        page.keyboard.press("Tab")
        focused = page.evaluate(
            "() => { const e = document.activeElement; return e.getAttribute('aria-label') || "
            "(e.labels && e.labels[0] && e.labels[0].textContent) || e.textContent }"
        )
        if name == focused:
            return
    pytest.fail(f"nothing that Tab reaches is named {name}")


def sign_in(page: Page, served: Served, user: str, token: str) -> None:
    page.goto(f"{served.base}/")
    tab_to(page, "Your id")
    page.keyboard.type(user)
    tab_to(page, "Your key")
    page.keyboard.type(token)
    page.keyboard.press("Enter")


def test_a_user_changes_everything_with_the_keyboard_alone(page: Page, served: Served) -> None:
    sign_in(page, served, ANNA, served.token(user=ANNA))
    cards = page.locator("#preferences .card")
    expect(cards).to_have_count(3)
    expect(cards.filter(has_text="About style")).to_contain_text("Learned from what you did")
    expect(cards.filter(has_text="About style")).to_contain_text("Signals from you: 12.")

    tab_to(page, "Change to")  # format comes first
    page.keyboard.press("ArrowDown")
    tab_to(page, "Save: About format")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_have_text("Saved: Prose.")
    expect(cards.filter(has_text="About format").first).to_contain_text("You said so")

    page.locator("#title").focus()
    tab_to(page, "Forget: About format")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_have_text("Forgotten.")
    expect(cards.filter(has_text="About format").first).to_contain_text("Default")

    page.locator("#title").focus()
    tab_to(page, "Personalization")
    page.keyboard.press("Space")
    expect(page.get_by_role("status")).to_have_text("personalization is switched off.")
    expect(cards).to_have_count(0)
    expect(page.locator("#nothing")).to_be_visible()

    tab_to(page, "Export as a file")
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    exported = json.loads(Path(download.value.path()).read_text())
    assert exported["preferences"] == []
    assert exported["pseudonym"] == stable(ANNA)

    tab_to(page, "Erase everything")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    tab_to(page, "Erase everything about me")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("Erased.")
    assert [event["name"] for event in served.sink.events] == [
        "user.preference.set",
        "user.preference.cleared",
        "user.consent.changed",
        "user.erasure.requested",
    ]


def test_escape_keeps_everything(page: Page, served: Served) -> None:
    sign_in(page, served, ANNA, served.token(user=ANNA))
    expect(page.locator("#content")).to_be_visible()
    tab_to(page, "Erase everything")
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page.locator("#erase")).to_be_focused()
    assert served.sink.lines == []


def test_somebody_else_is_not_shown(page: Page, served: Served) -> None:
    sign_in(page, served, BERT, served.token(user=ANNA))
    expect(page.get_by_role("alert")).to_have_text("This id and key do not belong together.")
    expect(page.locator("#content")).to_be_hidden()


def test_a_phone_needs_no_sideways_scrolling(page: Page, served: Served) -> None:
    sign_in(page, served, ANNA, served.token(user=ANNA))
    expect(page.locator("#content")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    small = page.evaluate(
        "() => [...document.querySelectorAll('button, select, .switch')]"
        ".filter(e => e.checkVisibility() && e.getBoundingClientRect().height < 44)"
        ".map(e => e.textContent)"
    )
    assert small == []


def test_everything_that_can_be_used_has_a_name(page: Page, served: Served) -> None:
    sign_in(page, served, ANNA, served.token(user=ANNA))
    expect(page.locator("#content")).to_be_visible()
    nameless = page.evaluate(
        "() => [...document.querySelectorAll('button, select, input')]"
        ".filter(e => !(e.textContent.trim() || e.getAttribute('aria-label') || e.labels?.length))"
        ".map(e => e.outerHTML)"
    )
    assert nameless == []
    levels = page.evaluate(
        "() => [...document.querySelectorAll('h1, h2, h3')].map(e => +e.tagName[1])"
    )
    assert levels[0] == 1
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels))


def test_nothing_that_is_served_is_run(page: Page, served: Served) -> None:
    views = world()
    hostile: dict[str, Any] = profile(preference("style", HOSTILE, reason=HOSTILE))
    hostile["segments"] = {HOSTILE: HOSTILE}
    views["hot_user_profiles"][stable(ANNA)] = hostile
    served.fill(views)
    sign_in(page, served, ANNA, served.token(user=ANNA))
    expect(page.locator("#preferences .card").first).to_contain_text(HOSTILE)
    assert page.locator("#content img").count() == 0


def test_a_link_signs_in_and_leaves_no_key_behind(page: Page, served: Served) -> None:
    page.goto(f"{served.base}/#user=bert&token={served.token(user=BERT)}")
    expect(page.locator("#content")).to_be_visible()
    assert page.url == f"{served.base}/"


def test_the_page_asks_nobody_else_for_anything(shared: Served) -> None:
    with shared.client("") as client:
        answer = client.get("/")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert "//" not in answer.text.replace("</", "")
