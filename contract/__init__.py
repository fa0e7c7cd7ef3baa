"""The journey contracts as types and pure rules.

Everything here is deterministic and free of I/O: the workflow sandbox imports it, so do the activities, the
worker and the starter, and it imports none of them.

Common to all journeys: `errors`, `identifiers`, `canonical_json`, `json_fidelity`, `merge_patch`, `messages`,
`limits`, `state_surface`. Of the chat session journey: `chat_session` (what other systems send and get),
`chat_session_judgement` (what becomes of a change) and `chat_session_activities` (what workflow and
activities tell each other).
"""
