"""Headless Chromium for the page's tests; they are skipped, in words, where there is none."""

import contextlib
import shutil
import threading

import pytest

from reidgen.view.app import application
from reidgen.view.serve import started

NAMES = ("chromium", "chromium-browser", "google-chrome")
PATH = next(filter(None, map(shutil.which, NAMES)), None)
needs_chromium = pytest.mark.skipif(PATH is None, reason="no Chromium (Debian: apt install chromium)")


@contextlib.contextmanager
def chromium():
    """A browser that is started once for several pages."""
    playwright = pytest.importorskip("playwright.sync_api", reason="no Playwright (extra dev)")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=PATH, args=["--no-sandbox"])  # root has no sandbox
        yield browser
        browser.close()


@contextlib.contextmanager
def served(answers):
    """The address of a page about some answers."""
    with started(lambda token, port: application(answers, token=token, port=port), 0) as (server, address):
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield address
        finally:
            server.shutdown()
            thread.join()


def opened(browser, address, **more):
    """A window with the page, and whatever it complains of: errors, refused loads, addresses elsewhere."""
    window = browser.new_page(viewport={"width": 1280, "height": 800}, **more)
    window.complaints = []
    window.on("pageerror", lambda error: window.complaints.append(str(error)))
    window.on("console", lambda said: said.type == "error" and window.complaints.append(said.text))
    host = address.partition("/?")[0]
    window.on(
        "request", lambda asked: asked.url.startswith((host, "blob:", "data:")) or window.complaints.append(asked.url)
    )
    window.set_default_timeout(20_000)
    window.goto(address)
    return window
