"""The README's tour by hand: the demo's own page in a real browser, from the address it prints."""

import pytest
from playwright.async_api import Browser, Locator, Page, expect

from tests.e2e.demo import ADDRESS, demo, tour

pytestmark = [
    pytest.mark.page,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(150),
]

SOLD_MS = 90_000


async def test_a_person_follows_the_tour_on_the_demos_page(browser: Browser) -> None:
    status, track, *rest = tour()
    async with demo() as (_, line):
        address = ADDRESS.search(line)
        assert address, line
        page = await browser.new_page(viewport={"width": 390, "height": 844})
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        await page.goto(address[0])
        await page.wait_for_selector("#status[data-state=online]")

        await expect(await _say(page, status)).to_contain_text("Equity")
        await _confirm(page, track)
        await expect(_bubbles(page, "is watched")).to_have_count(1)
        for command in rest:
            if command.startswith("/chart"):
                await _say(page, command)
                await expect(page.locator(".message img").last).to_be_visible()
                await expect(_bubbles(page, "Sold 0.1 BTC")).to_have_count(1, timeout=SOLD_MS)
            else:
                await _confirm(page, command)
        await expect(_bubbles(page, "HALTED: nothing new at all")).to_have_count(1)
        assert errors == []


async def _say(page: Page, text: str) -> Locator:
    """Type a command and return the newest bubble of the bot, once there is a new one."""
    theirs = page.locator(".message:not(.mine) .bubble")
    known = await theirs.count()
    await page.fill("#text", text)
    await page.keyboard.press("Enter")
    await expect(theirs.nth(known)).to_be_visible()
    return theirs.last


async def _confirm(page: Page, text: str) -> None:
    await _say(page, text)
    confirm = page.get_by_role("button", name="Confirm")
    await confirm.click()
    await expect(confirm).to_have_count(0)


def _bubbles(page: Page, text: str) -> Locator:
    return page.locator(".message:not(.mine) .bubble").filter(has_text=text)
