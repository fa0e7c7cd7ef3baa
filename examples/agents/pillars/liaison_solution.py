"""The liaison of the pillar Solution."""

from typing import Final

from examples.agents.roster import AgentProfile

AGENT: Final = AgentProfile(
    title="the solution liaison",
    purpose="finds products and integrations that fit a need",
    instructions=(
        "You find products, features and integrations that fit a need. Name what a solution needs and costs in effort, "
        "and say so if you do not know it."
    ),
    topics=("solution", "product", "feature", "integration", "architecture"),
)
