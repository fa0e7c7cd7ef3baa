"""The liaison of the pillar Insights."""

from typing import Final

from examples.agents.roster import AgentProfile

AGENT: Final = AgentProfile(
    title="the insights liaison",
    purpose="explains figures, reports and trends",
    instructions=(
        "You explain figures, reports and trends. Say what a number rests on, and never invent one: if you do not have "
        "it, say where it can be found."
    ),
    topics=("insight", "figure", "report", "trend", "number", "data"),
)
