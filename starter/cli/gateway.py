"""The command `journey gateway`."""

from starter.cli.command import run_service


def gateway() -> None:
    """Serve chat sessions over HTTP until SIGTERM or Ctrl-C. It then finishes what it has begun.

    Environment variables configure it: JOURNEY_HTTP_ADDRESS, SUPABASE_DB_URL,
    SUPABASE_JWT_SECRET or SUPABASE_JWKS_URL, TEMPORAL_ADDRESS and so on.

    Run as many gateways as you like.
    """
    from starter.http.run_gateway import run_gateway  # noqa: PLC0415 - the other commands start sooner without it

    run_service(run_gateway)
