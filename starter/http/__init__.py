"""The gateway: chat sessions over HTTP, for services and people who do not speak Temporal.

It is thin: the contract's models check every request, reads come from Supabase, and changes go through the client to
the session's journey. Any number of gateways may serve one session.
"""
