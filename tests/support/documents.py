"""JSON documents for Hypothesis, with what JSON libraries tend to get wrong, and the settings to run it with."""

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

MAX_SAFE_INTEGER = 2**53 - 1

# Characters at the edges of UTF-16's ranges and of JSON's escapes, and characters that look like a number in JSON.
_AWKWARD = (
    *"\x00\b\t\n\x0b\f\r\x1f\x7f\x80\x9f\u2028\u2029\u20ac\ud7ff\ue000\uf8ff\ufb33\ufffd\uffff",
    *"\U00010000\U0001f600\U0010ffff",
    *'"\\/:,[]{}-+.eE019 ',
)
_POWERS = (1e-324, 5e-324, 1e-308, 1e-7, 1e-6, 1e-5, 0.1, 1.0, 1e15, 1e16, 1e20, 1e21, 1e22, 1e23, 1e308)


def thoroughly(max_examples: int = 80) -> settings:
    """Settings for this many examples, however long each takes on a busy machine; a quarter of them in `make fast`."""
    return settings(
        max_examples=max_examples // 4 if settings.get_current_profile_name() == "fast" else max_examples,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


texts = st.text(st.sampled_from(_AWKWARD) | st.characters(exclude_categories=["Cs"]), max_size=12)

integers = st.integers(-MAX_SAFE_INTEGER, MAX_SAFE_INTEGER) | st.integers(-3, 3)

floats = (
    st.floats(allow_nan=False, allow_infinity=False)
    | st.builds(lambda power, factor: power * factor, st.sampled_from(_POWERS), st.floats(-1, 1))
    | st.sampled_from([power * sign for power in _POWERS for sign in (1, -1)])
    | st.integers(-(10**6), 10**6).map(float)
)

scalars: st.SearchStrategy[Any] = st.none() | st.booleans() | integers | floats | texts


def _containers(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(children, max_size=4) | st.dictionaries(texts, children, max_size=4)


documents: st.SearchStrategy[Any] = st.recursive(scalars, _containers, max_leaves=12)
"""Any JSON that RFC 8785 knows how to write."""

# Few names and small values, so that documents and patches meet in the same places.
_names = st.sampled_from(["a", "b", "c", "id"])
_small: st.SearchStrategy[Any] = st.recursive(
    st.sampled_from([None, True, False, 0, 1, 1.0, "", "x"]),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(_names, children, max_size=3),
    max_leaves=8,
)

objects: st.SearchStrategy[dict[str, Any]] = st.dictionaries(_names, _small, max_size=4)
"""JSON objects that have names in common."""

items: st.SearchStrategy[Any] = (
    st.fixed_dictionaries({"id": st.sampled_from(["m1", "m2", "m3"]), "text": st.sampled_from(["x", "y"])})
    | st.fixed_dictionaries({"id": st.sampled_from([None, 1, True])})
    | _small
)
"""Items of an array, many with an `id`, not all of them strings."""


def nested(levels: int, container: type = dict) -> Any:
    """Objects (or arrays) in one another, the outermost being the first level."""
    document: Any = container()
    for _ in range(levels - 1):
        document = {"in": document} if container is dict else [document]
    return document


def nested_json(levels: int) -> str:
    """The JSON of objects in one another, written without an encoder, which might limit their depth."""
    return '{"in":' * (levels - 1) + "{}" + "}" * (levels - 1)
