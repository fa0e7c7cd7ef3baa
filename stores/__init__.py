"""The stores that journeys write to: Supabase and the State Surface, on asyncpg, and their migrations.

Two adapters hold the journeys' SQL: `chat_sessions_supabase` and `state_surface_postgres`. Both use `postgres`, the
pools and the translation of errors. `migrate` brings both schemas up to date.
"""
