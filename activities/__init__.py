"""The side effects of the journeys: activities, and the adapters of the stores that they write to.

Each journey has a file of activities. The adapters hold the SQL: `chat_sessions_supabase` and
`state_surface_postgres`, both on `postgres`.
"""
