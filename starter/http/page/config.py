"""The page's configuration by this deployment. All of it is public: the page is sent to everybody."""

from typing import Final, Literal

from journeys.chat_session.names import DEFAULT_AGENT
from journeys.messages import Record
from starter.http.settings import GatewaySettings

SignIn = Literal["development", "password", "platform", "none"]
"""How people sign in: as anybody, with e-mail and password, by the platform that shows the page, or not at all."""

_PILLARS: Final = ("content", "insights", "journey", "solution")


class PageConfig(Record):
    """The page's configuration.

    Attributes:
        supabase_url: The project's URL; set if people sign in with a password.
        supabase_anon_key: The project's public key.
        platform_origins: The origins that may hand a token over.
        agents: The agents that the page offers.
        answering_agents: Those of them that take turns.
        turn_seconds: How long to wait for an answer.
        temporal_ui_url: Where a session's trace is shown; null if people cannot see it.
    """

    sign_in: SignIn
    supabase_url: str | None
    supabase_anon_key: str | None
    platform_origins: tuple[str, ...]
    agents: tuple[str, ...]
    answering_agents: tuple[str, ...]
    turn_seconds: float
    temporal_ui_url: str | None
    temporal_namespace: str


def page_config(settings: GatewaySettings, *, namespace: str, has_dev_tokens: bool) -> PageConfig:
    """Make the page's configuration.

    Args:
        settings: The gateway's settings.
        namespace: The journeys' Temporal namespace.
        has_dev_tokens: Whether the gateway issues tokens for development.
    """
    has_passwords = bool(settings.supabase_url and settings.supabase_anon_key)
    return PageConfig(
        sign_in="development"
        if has_dev_tokens
        else "password"
        if has_passwords
        else "platform"
        if settings.page_origins
        else "none",
        supabase_url=_without_slash(settings.supabase_url) if has_passwords else None,
        supabase_anon_key=settings.supabase_anon_key if has_passwords else None,
        platform_origins=settings.page_origins,
        agents=_offered_agents(settings.agents),
        answering_agents=settings.agents,
        turn_seconds=settings.turn_seconds,
        temporal_ui_url=_without_slash(settings.temporal_ui_url),
        temporal_namespace=namespace,
    )


def _offered_agents(answering: tuple[str, ...]) -> tuple[str, ...]:
    """The agents that take turns, the guide first. If none does, people may still hand over to the liaisons."""
    others = answering or [f"liaison_{pillar}" for pillar in _PILLARS]
    return (DEFAULT_AGENT, *sorted(set(others) - {DEFAULT_AGENT}))


def _without_slash(url: object) -> str | None:
    return str(url).rstrip("/") if url else None
