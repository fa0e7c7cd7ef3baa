"""The Content-Security-Policy of the page, which holds a person's token and shows what others wrote."""

from collections.abc import Iterable

from pydantic import AnyHttpUrl


def content_security_policy(*, supabase_url: AnyHttpUrl | None, platform_origins: Iterable[str]) -> str:
    """The policy: only the page's own files run, and only this gateway and Supabase Auth are called.

    Args:
        supabase_url: Where people sign in.
        platform_origins: Who may show the page in a frame.
    """
    rules = {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'"],
        "connect-src": ["'self'", *([_origin(supabase_url)] if supabase_url else [])],
        "base-uri": ["'none'"],
        "form-action": ["'none'"],
        "frame-ancestors": list(platform_origins) or ["'none'"],
        # No script can turn a text into markup, not even by mistake.
        "require-trusted-types-for": ["'script'"],
        "trusted-types": ["'none'"],
    }
    return "; ".join(f"{name} {' '.join(values)}" for name, values in rules.items())


def _origin(url: AnyHttpUrl) -> str:
    default = {"http": 80, "https": 443}[url.scheme]
    return f"{url.scheme}://{url.host}" + (f":{url.port}" if url.port != default else "")
