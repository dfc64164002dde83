"""Mosquitto's configuration and access list. The topics come from cart_protocol.topics.TABLE and nowhere else.

Written for mosquitto 2.0.11 (Debian 12). Every option that departs from the broker's default is a trap that was
measured; reference/messaging, section 2.4 and section 5.
"""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from cart_protocol import topics
from cart_protocol.ids import CartId, StoreId
from cart_protocol.topics import Direction, Topic
from edge_agent.devices.authority import AGENT, Authority

ONE_MEBIBYTE = 1 << 20
QUEUED_MESSAGES = 1_000_000
"""Per client that is away: as good as no limit. What would fall off is sent again: the agent acknowledges, not this."""


class BrokerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where the broker listens and finds its files. Paths must be readable by the user it runs as."""

    host: str
    port: int
    authority: Path
    revocation_list: Path
    certificate: Path
    key: Path
    access_list: Path
    persistence: Path | None = None
    """Folder for sessions across a planned restart; None keeps none. Nothing of ours depends on it."""
    user: str | None = None
    """Whom to become when started as root; None leaves it to mosquitto ('mosquitto')."""
    max_packet_bytes: int = 16 * ONE_MEBIBYTE
    """The largest is a whole price book: some 400 bytes a product, so 40,000 products."""


def settings_for(
    authority: Authority,
    access_list: Path,
    *,
    host: str,
    port: int,
    name: str = "broker",
    persistence: Path | None = None,
    user: str | None = None,
) -> BrokerSettings:
    """Return the settings of the broker that holds the certificate `name` of `authority`."""
    held = authority.credentials(name)
    return BrokerSettings(
        host=host,
        port=port,
        authority=held.authority,
        revocation_list=authority.revocation_list,
        certificate=held.certificate,
        key=held.key,
        access_list=access_list,
        persistence=persistence,
        user=user,
    )


def configuration(settings: BrokerSettings) -> str:
    """Return the text of mosquitto.conf."""
    lines = [
        "# Written by the edge agent (edge_agent/devices/mosquitto.py). Changes made here are lost.",
        "",
        "# Who may come in: holders of a certificate of the store's authority that is not revoked, and nobody else.",
        "per_listener_settings false",
        "allow_anonymous false",
        f"acl_file {settings.access_list}",
        f"listener {settings.port} {settings.host}",
        f"cafile {settings.authority}",
        f"crlfile {settings.revocation_list}",
        f"certfile {settings.certificate}",
        f"keyfile {settings.key}",
        "tls_version tlsv1.2",
        "require_certificate true",
        "# The certificate's common name is the user, and the user is the client id: otherwise any cart's certificate",
        "# could take over the session of any other cart.",
        "use_identity_as_username true",
        "use_username_as_clientid true",
        "",
        "# The default of 1000 drops what it acknowledged while the agent is away. 0 (no limit) has a trap of its own:",
        "# mosquitto 2.0.11 then takes every refused message for an exceeded quota and drops the sender's connection.",
        f"max_queued_messages {QUEUED_MESSAGES}",
        f"max_packet_size {settings.max_packet_bytes}",
        "# A cart that was scrapped is forgotten.",
        "persistent_client_expiration 30d",
        "set_tcp_nodelay true",
        "",
        *_persistence(settings.persistence),
        "",
        "log_dest stderr",
        "log_type error",
        "log_type warning",
        "log_type notice",
        "connection_messages true",
    ]
    if settings.user is not None:
        lines.append(f"user {settings.user}")
    return "\n".join(lines) + "\n"


def access_list(store: StoreId, agents: Sequence[str] = (AGENT,)) -> str:
    """Return the text of the access list: each cart its own topics, agents those of all carts, nobody any other."""
    lines = [
        "# Written by the edge agent from the table of topics (cart_protocol/topics.py). Changes made here are lost.",
        "",
        "# Carts: %u is the common name of the certificate. Mosquitto warns about the patterns without it, which is in",
        "# order: they are what goes to all carts.",
        *(f"pattern {_CART_MAY[row.direction]} {_topic(row, store, '%u')}" for row in topics.TABLE),
    ]
    for agent in agents:
        lines += ["", "# An agent.", f"user {agent}"]
        lines += [f"topic {_AGENT_MAY[row.direction]} {_topic(row, store, '+')}" for row in topics.TABLE]
    return "\n".join(lines) + "\n"


_CART_MAY = {Direction.UP: "write", Direction.DOWN: "read", Direction.ALL: "read"}
_AGENT_MAY = {Direction.UP: "read", Direction.DOWN: "write", Direction.ALL: "write"}


def _topic(row: Topic, store: StoreId, cart: str) -> str:
    return topics.address(row.message, store, CartId(cart))


def _persistence(folder: Path | None) -> list[str]:
    if folder is None:
        return ["persistence false"]
    return [
        "# A cache across planned restarts. What must not be lost is acknowledged by the agent, never by the broker.",
        "persistence true",
        f"persistence_location {folder}/",
    ]
