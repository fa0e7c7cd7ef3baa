"""Everything dies, again and again, while callers work; then broken promises are looked for.

`plan` is what a seed stands for and `operations` what its callers send, both decided in advance. `caller` is a process
that sends, `journal` what it writes down. `fleet` keeps workers and callers running, `monkey` does them and the servers
harm, `run` is all of it together. `evidence` is what is known in the end, and `checker` finds broken promises in it,
with `conversation_promises`, `deletion_promises` and `hostile_promises`. `replayed_sessions` and `replayed_transcripts`
are what the ledgers come to by rules of the checker's own, and `expected_refusals` what a session explains.
"""
