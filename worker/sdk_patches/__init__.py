"""Work-arounds for defects of Temporal's Python SDK, one file each.

Each file says what goes wrong, why, where the SDK's developers know of it, when to delete the file, and which test
fails without it. `worker.plugin` installs all of them. They use private parts of the SDK, so they fit one release only.
"""

import importlib.metadata
from typing import Final

from journeys.errors import EngineUnavailable

SDK_VERSION: Final = "1.35.0"
"""The release of the SDK that the work-arounds are written for and tested with."""


def require_sdk_version() -> None:
    """Check that the work-arounds fit the installed SDK.

    Raises:
        EngineUnavailable: Another release of the SDK is installed.
    """
    installed = importlib.metadata.version("temporalio")
    if installed != SDK_VERSION:
        raise EngineUnavailable(
            f"temporalio {installed} is installed, but worker/sdk_patches fits {SDK_VERSION} only: install "
            f"{SDK_VERSION}, or check each file of worker/sdk_patches against {installed} and set SDK_VERSION"
        )
