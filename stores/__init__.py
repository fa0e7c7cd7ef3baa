"""The stores that journeys write to: Supabase and the State Surface, on asyncpg, and their migrations.

The modules `*_supabase` and `state_surface_postgres` hold the journeys' SQL. All of them use `postgres`, the pools and
the translation of errors. `migrate` brings both schemas up to date.
"""
