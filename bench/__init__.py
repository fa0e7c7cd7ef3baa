"""What a session costs, measured against what Temporal itself costs.

Five variants do the same work on one machine, in turns:

* floor: the same SQL writes and no orchestration;
* bare: a workflow whose handlers have the journey's names and payloads and do nothing;
* step: the same with one local activity for each change, which does nothing either;
* naive: the journey as the SDK's documentation would have one write it;
* journey: this project, through its own starter and its own worker.

`command` is the command line's entrance, `rounds` the measured part, `results` what comes out of it.
"""
