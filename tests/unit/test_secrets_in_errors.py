"""An error that is built from another program's error shows none of its text, which may quote a secret."""

import traceback
from pathlib import Path

import pytest

from journeys.client.connection import connect
from journeys.errors import InvalidParameter, JourneyError


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ('[profile.default]\naddress = "x"\napi_key = "hush-1\n', "line 3"),
        ('[profile.default]\naddress = "x"\napi_key = hush-1\n', "line 3"),
        ('[profile.default]\napi_key = ["hush-1"]\n', "line 2"),
        ('[profile.default.tls]\nclient_cert_data = "hush-1"\nclient_cert_path = "/hush-1"\n', "TEMPORAL_CONFIG_FILE"),
        ('[profile.default.tls]\nclient_cert_path = "/hush-1"\nclient_key_path = "/hush-1"\n', "No such file"),
    ],
)
async def test_a_broken_configuration_file_is_told_by_its_place_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str, place: str
) -> None:
    file = tmp_path / "temporal.toml"
    file.write_text(content, "utf-8")
    monkeypatch.setenv("TEMPORAL_CONFIG_FILE", str(file))
    with pytest.raises(InvalidParameter, match=place) as refusal:
        await connect()
    assert "hush" not in "".join(traceback.format_exception(refusal.value))


@pytest.mark.parametrize(
    "environment",
    [
        {"TEMPORAL_ADDRESS": "hush:hush:hush"},
        {
            "TEMPORAL_ADDRESS": "127.0.0.1:1",
            "TEMPORAL_TLS_CLIENT_CERT_DATA": "hush",
            "TEMPORAL_TLS_CLIENT_KEY_DATA": "h",
        },
    ],
    ids=["address", "certificate"],
)
async def test_a_connection_that_cannot_be_made_shows_no_secret(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, environment: dict[str, str]
) -> None:
    monkeypatch.setenv("TEMPORAL_CONFIG_FILE", str(tmp_path / "none.toml"))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(JourneyError) as refusal:
        await connect()
    assert "hush" not in "".join(traceback.format_exception(refusal.value))
