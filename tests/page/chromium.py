"""The browser that the tests of the page run: Debian's, because Playwright's own may not be there to download."""

import shutil
from typing import Final

CHROMIUM: Final = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
"""Its path; None if it is not installed."""

NO_CHROMIUM: Final = "there is no Chromium: the package `chromium` of Debian has one"

ARGUMENTS: Final = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
