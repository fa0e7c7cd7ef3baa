"""Everything dies, again and again, while callers work; then a checker looks for broken promises.

A seed decides in advance which harm is done (`plan`) and what callers send (`operations`). `caller` is a calling
process, and `journal` its log. `fleet` keeps workers and callers running, `monkey` harms them and the servers, and
`run` puts all of it together. `evidence` is everything that is known in the end. `checker` finds broken promises in it,
with `conversation_promises`, `deletion_promises` and `hostile_promises`. `replayed_sessions` and `replayed_transcripts`
compute from the ledgers, by rules of the checker's own, what sessions and transcripts must hold. `expected_refusals`
decides which refusals a session's state explains.
"""
