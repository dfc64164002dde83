"""The broker's files as they are rendered; what they do at a real broker stands in test_broker_rights."""

from pathlib import Path

from cart_protocol import topics
from cart_protocol.ids import StoreId
from edge_agent.devices import mosquitto
from edge_agent.devices.authority import Authority


def options(text: str) -> dict[str, str]:
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return {line.partition(" ")[0]: line.partition(" ")[2] for line in lines}


def rendered(authority: Authority, **how: object) -> dict[str, str]:
    settings = mosquitto.settings_for(authority, Path("/etc/acl"), host="127.0.0.1", port=8883, **how)  # type: ignore[arg-type]
    return options(mosquitto.configuration(settings))


def test_nobody_comes_in_without_a_certificate_or_under_another_name(authority: Authority) -> None:
    conf = rendered(authority)
    assert conf["allow_anonymous"] == "false"
    assert conf["require_certificate"] == "true"
    assert conf["use_identity_as_username"] == "true"
    assert conf["use_username_as_clientid"] == "true"
    assert conf["crlfile"] == str(authority.revocation_list)
    assert conf["listener"] == "8883 127.0.0.1"
    assert conf["acl_file"] == "/etc/acl"


def test_persistence_and_user_are_left_out_unless_asked_for(authority: Authority, tmp_path: Path) -> None:
    assert rendered(authority)["persistence"] == "false"
    assert "user" not in rendered(authority)
    asked = rendered(authority, persistence=tmp_path, user="cartwright")
    assert asked["persistence"] == "true"
    assert asked["persistence_location"] == f"{tmp_path}/"
    assert asked["user"] == "cartwright"


def test_every_topic_of_the_table_has_one_speaker_and_one_hearer() -> None:
    lines = mosquitto.access_list(StoreId("s1")).splitlines()
    for row in topics.TABLE:
        of_row = [line for line in lines if line.endswith(f"/{row.leaf}")]
        assert len(of_row) == 2, row.leaf
        assert {line.split()[1] for line in of_row} == {"read", "write"}
    rules = [line for line in lines if line and not line.startswith("#")]
    assert len(rules) == 2 * len(topics.TABLE) + 1
    assert rules[len(topics.TABLE)] == "user agent"
