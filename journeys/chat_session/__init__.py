"""Chat Session Management: create a chat session exactly once, read it, and change its shared context.

* `messages`: the requests of other systems; `session` and `answers`: the answers that they get; `errors`.
* `names` and `keys`: how any client derives a session's IDs and keys.
* `rules` and `transcript`: how a change is decided; `limits`: how large things may be.
* `activities`: the arguments and results of activities; `continuation`: the state that continue-as-new carries over.
"""
