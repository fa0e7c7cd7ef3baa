"""What a session costs, measured against what Temporal itself costs: `python -m bench`, as `make bench` does.

Five variants do the same work on one machine, in turns:

* floor: the same SQL writes and no orchestration;
* bare: a workflow whose handlers have the journey's names and payloads and do nothing;
* step: the same with one local activity for each change, which does nothing either;
* naive: the journey, written as the SDK's documentation suggests;
* journey: this project, through its own client and its own worker.

`command` is the command line, `rounds`, `session_costs`, `conversation` and `gateway` measure, `results` holds the
figures, `report` writes docs/performance.md. `journey bench` is another program: it measures a deployment.
"""
