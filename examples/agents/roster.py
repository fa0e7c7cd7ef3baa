"""Who the agents are: one file in `pillars` each."""

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass

from examples.agents import pillars


@dataclass(frozen=True, slots=True)
class AgentProfile:
    """An agent. Its name in the journeys is the name of its file: `guide` or `liaison_<pillar>`.

    Attributes:
        title: What people and other agents call it.
        purpose: Its task, in half a sentence; other agents see it, too.
        instructions: The model's instructions for its part.
        topics: Words by which the scripted model recognizes that a message is for this agent.
    """

    title: str
    purpose: str
    instructions: str
    topics: tuple[str, ...] = ()


Roster = Mapping[str, AgentProfile]
"""The agents by their names."""


def agent_names() -> list[str]:
    """The names of all agents, without loading them."""
    return sorted(module.name for module in pkgutil.iter_modules(pillars.__path__))


def read_roster() -> Roster:
    """Load all agents."""
    return {name: importlib.import_module(f"{pillars.__name__}.{name}").AGENT for name in agent_names()}
