"""A real headless Chromium for the tests of the report, where one is installed (`make browser`)."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
NAMES = ("chromium", "chromium-browser", "google-chrome")


def executable() -> str | None:
    """Return the browser's path: LASER_CHROMIUM, or the first of the usual names that there is."""
    named = [os.environ.get("LASER_CHROMIUM", ""), *NAMES]
    return next((found for name in named if name and (found := shutil.which(name))), None)


def why_not() -> str:
    """Say why there can be no browser test here; empty where there can."""
    for module in ("playwright", "axe_playwright_python"):
        if importlib.util.find_spec(module) is None:
            return f"the package {module} is not installed"
    return "" if executable() else "no Chromium here: `make browser` installs it, or name one in LASER_CHROMIUM"


@contextlib.contextmanager
def browser() -> Iterator[Any]:
    """Start the browser with a new, empty profile."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=executable(), args=FLAGS)
        try:
            yield started
        finally:
            started.close()


def grave_faults(page: Any, of_colours_only: bool) -> list[str]:
    """Return what axe finds that is serious or critical, for a dark page by its rules on colours only.

    All else is the same in the dark as in the light.
    """
    from axe_playwright_python.sync_playwright import Axe

    rules = {"runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}}
    found = Axe().run(page, options=rules if of_colours_only else None).response["violations"]
    return [
        f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in found if one["impact"] in ("serious", "critical")
    ]


class Visit:
    """One page, opened from its file; collects what must not happen.

    Attributes:
        page: playwright's page.
        said: errors and warnings of the console, uncaught errors and dialogs.
        asked: the addresses of all requests.
    """

    def __init__(self, browser: Any, path: Path, fragment: str = "", **settings: Any) -> None:
        self.said: list[str] = []
        self.asked: list[str] = []
        self.context = browser.new_context(**settings)
        self.page = self.context.new_page()
        self.page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.said.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(path.as_uri() + fragment)

    def close(self) -> None:
        """Close the page."""
        self.context.close()
