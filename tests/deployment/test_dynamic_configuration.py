"""The embedded Temporal server and the one of docker-compose.yml hold to the same limits."""

import yaml

from embedded.temporal_server import DYNAMIC_CONFIG
from tests.support.paths import REPOSITORY


def test_both_servers_have_the_same_dynamic_configuration() -> None:
    folder = REPOSITORY / "compose" / "temporal" / "dynamicconfig"
    composed = yaml.safe_load((folder / "dynamic-config.yaml").read_text("utf-8"))
    assert {key: values[0]["value"] for key, values in composed.items()} == DYNAMIC_CONFIG
