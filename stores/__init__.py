"""The stores that journeys write to: Supabase and the State Surface, on asyncpg, and their migrations.

The adapters hold all SQL: `chat_sessions_supabase` and `state_surface_postgres`, both on `postgres`. `migrate` brings
both schemas up to date.
"""
