"""A real browser for tests: headless Chromium, and what its pages complained of."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = shutil.which("chromium")
_FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
# Leaves in the window what a test wants to know: blocked resources, shifts of the layout.
_PROBE = """
window.violations = []; window.shift = 0;
addEventListener("securitypolicyviolation", (one) => {
  window.violations.push(one.violatedDirective + " " + one.blockedURI);
});
new PerformanceObserver((list) => {
  for (const one of list.getEntries()) if (!one.hadRecentInput) window.shift += one.value;
}).observe({type: "layout-shift", buffered: true});
"""


@dataclass
class Window:
    """A page of the browser; complaints: errors of the console, of scripts, and failed requests."""

    page: Page
    complaints: list[str] = field(default_factory=list)

    def violations(self) -> list[str]:
        """What the Content-Security-Policy blocked on this page."""
        found: list[str] = self.page.evaluate("window.violations")
        return found

    @property
    def is_too_wide(self) -> bool:
        """Whether the page scrolls sideways."""
        return bool(self.page.evaluate("document.documentElement.scrollWidth > innerWidth"))


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium, which CI must have; elsewhere its tests are not run without it."""
    if CHROMIUM is None:
        assert "CI" not in os.environ, "CI must have chromium: make system installs it"
        pytest.skip("chromium is not installed: the pages were not looked at in a browser")
    # A machine that is lent for its GPU has no Playwright, and loads these fixtures for its tests, too.
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=list(_FLAGS))
        yield chromium
        chromium.close()


@contextmanager
def window(browser: Browser, width: int = 1280, **options: Any) -> Iterator[Window]:
    """A window of its own. options: of the context, as `color_scheme`."""
    context = browser.new_context(viewport={"width": width, "height": 844}, **options)
    page = context.new_page()
    page.add_init_script(_PROBE)
    found = Window(page)
    page.on(
        "console", lambda one: found.complaints.append(one.text) if one.type in ("error", "warning") else None
    )
    page.on("pageerror", lambda one: found.complaints.append(str(one)))
    page.on("dialog", lambda one: found.complaints.append(f"dialog {one.message}"))
    try:
        yield found
    finally:
        context.close()
