"""The guide and the liaisons of four pillars: a Temporal worker that takes the turns of agents.

Like an agent of another team, it uses only the client's library, `journeys`. `docs/agents.md` shows how to write one.
"""
