"""Where the broker is, who we are to it, and the bounds of a link: the same for every implementation."""

import ipaddress
import ssl
import zlib
from pathlib import Path

import msgspec


class LinkError(Exception):
    """A link that cannot be made as configured; the text says what was seen and what to do."""


class TlsFiles(msgspec.Struct, frozen=True, kw_only=True):
    """Who we trust and who we are (PEM)."""

    authority: Path
    certificate: Path
    key: Path


class MqttSettings(msgspec.Struct, frozen=True, kw_only=True):
    host: str
    port: int
    tls: TlsFiles | None
    """None is for a broker on this machine only."""
    keepalive_s: int = 15
    """A dead peer is noticed after one and a half of these (MQTT 5.0, section 3.1.2.10)."""
    session_expiry_s: int = 3_600
    """How long the broker keeps our subscriptions and what came meanwhile."""
    subscribe_qos: int = 1
    """How the broker hands messages to us; 0 where the exchange brings again whatever is lost (decision 0009)."""
    receive_maximum: int = 1_000
    """Messages sent to us that nobody has received yet; more wait at the broker. Unsaid, mosquitto takes 20."""
    inbox: int = 10_000
    """Messages held here. mosquitto 2.0.11 sends `receive_maximum` new ones for each one taken (measured), so that is
    no bound. At this many the store's link stops reading; the cart's drops what is more, and counts it."""
    send_queue: int = 1_000
    """Messages of ours that wait for the broker; more are dropped and counted."""
    reconnect_min_s: float = 1.0
    reconnect_max_s: float = 30.0


def tls_context(settings: MqttSettings) -> ssl.SSLContext | None:
    """Return how to speak TLS with the broker; None for one on this machine that is to be spoken to without.

    Raises:
        LinkError: the certificate files cannot be used, or a broker elsewhere was to be used without TLS.
    """
    files = settings.tls
    if files is None:
        if not _is_this_machine(settings.host):
            raise LinkError(
                f"broker {settings.host} is not on this machine: name authority, certificate and key for TLS"
            )
        return None
    try:
        context = ssl.create_default_context(cafile=str(files.authority))
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(files.certificate, files.key)
    except (OSError, ssl.SSLError) as error:
        named = f"{files.authority}, {files.certificate} and {files.key}"
        raise LinkError(f"TLS with {named}: {error}; name three readable PEM files that belong together") from error
    return context


def place_of(client_id: str) -> float:
    """Return 0.5 to 1, by which a client multiplies its pauses: a shop's carts do not all come back at once."""
    return 0.5 + zlib.crc32(client_id.encode()) / 2**33


def _is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
