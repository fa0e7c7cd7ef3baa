"""Where agent frameworks keep their conversations: in a chat session's transcript.

Each module is for one framework, and needs the extra that is named after the framework. Nothing else in `journeys`
imports this package.
"""


def missing_extra(module: str, extra: str) -> ImportError:
    """The error that a module raises if its framework is not installed."""
    return ImportError(f"{module} needs the extra {extra}: pip install 'coexistence-journeys[{extra}]'", name=module)
