"""Work-arounds for defects of Temporal's Python SDK, one file each.

Each file says what goes wrong, why, where the SDK's developers know of it, when it can be deleted, and which test
fails without it. `worker.plugin` installs all of them. They reach into private parts of the SDK, so they hold for one
release only.
"""

import importlib.metadata
from typing import Final

from journeys.errors import EngineUnavailable

SDK_VERSION: Final = "1.35.0"
"""The release that the work-arounds are written for and tested with."""


def require_sdk_version() -> None:
    """Check that the installed SDK is the one that the work-arounds fit.

    Raises:
        EngineUnavailable: It is another one.
    """
    installed = importlib.metadata.version("temporalio")
    if installed != SDK_VERSION:
        raise EngineUnavailable(
            f"temporalio {installed} is installed, and worker/sdk_patches fits {SDK_VERSION} only: install that, "
            "or check each file of worker/sdk_patches against the new one and raise SDK_VERSION"
        )
