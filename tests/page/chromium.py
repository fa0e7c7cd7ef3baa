"""The browser that the tests of the page run: Debian's, because Playwright's own may not be there to download."""

import shutil
from typing import Final

_PROGRAMS: Final = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")

CHROMIUM: Final = next(filter(None, map(shutil.which, _PROGRAMS)), None)
"""Its path; None if none is installed. The shell is the same engine without windows, and takes a third less CPU."""

NO_CHROMIUM: Final = "there is no Chromium: the package `chromium` of Debian has one"

ARGUMENTS: Final = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
