"""JSON of a wanted size in the shapes that are costly to handle."""

import json
import random
from collections.abc import Callable, Mapping
from typing import Any, Final

Shape = Callable[[random.Random], Any]

SHAPES: Final[Mapping[str, Shape]] = {
    "short floats": lambda rng: rng.randrange(100) + 0.5,
    "whole floats": lambda rng: float(rng.randrange(10)),
    "long floats": lambda rng: rng.random(),
    "tiny floats": lambda rng: rng.random() * 1e-6,
    "integers": lambda rng: rng.randrange(10**6),
    "strings": lambda rng: "ä" * rng.randrange(8),
    "deep objects": lambda rng: {"a": {"b": {"c": {"d": [rng.randrange(10)]}}}},
}


def filled(shape: str, size: int) -> list[Any]:
    """A list of this shape whose JSON has nearly so many bytes."""
    rng, items, used = random.Random(size), [], 0
    while used < size - 64:
        items.append(SHAPES[shape](rng))
        used += len(json.dumps(items[-1], separators=(",", ":"))) + 1
    return items
