"""Chat Session Management: a chat session is created exactly once, read back, and its shared context is changed.

What other systems send is in `messages`, what they get in `session` and `answers`. `names` and `keys` let anyone derive
a session's IDs. `rules` decides what becomes of a change. `activities` and `continuation` are what the journey's own
workflow and activities tell each other.
"""
