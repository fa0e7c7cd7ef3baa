"""Who may see a session: its user or, if a statement names no user, a service of its tenant.

Each statement checks ID, tenant and user at once, so another user's session looks and costs the same as no session.
"""

from typing import Final

OWN: Final = """
  session.chat_session_id = $1 and session.tenant_id = $2 and ($3::text is null or session.user_id = $3)
"""
"""The row of `public.chat_sessions as session` whose ID is $1, for tenant $2 and user $3; null for no user."""

VISIBLE: Final = f"{OWN} and session.lifecycle_state <> 'DELETED'"
"""The same, unless the session is deleted."""
