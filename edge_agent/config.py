"""The edge agent's configuration file, described. Unknown keys stop the start (cart_protocol.host.configuration)."""

from pathlib import Path

import msgspec


class Identity(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    store: str
    """Id of this store; part of every topic."""
    name: str
    """What shoppers read on pages and receipts."""
    registration: str = ""
    """Company or tax registration number, for the receipt."""
    address: str = ""


class Broker(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    host: str
    port: int = 8883
    authority: Path
    certificate: Path
    key: Path
    keepalive_s: int = 15


class Web(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    host: str = "127.0.0.1"
    port: int = 8443
    public_address: str = ""
    """How phones reach us, e.g. https://shop.example; empty: http://HOST:PORT."""
    certificate: Path | None = None
    """HTTPS certificate (PEM). Without one the pages are served on loopback only."""
    key: Path | None = None


class PaymentSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    acquirer: str = "test:http://127.0.0.1:8790"
    """'test:ADDRESS' is the test acquirer: no real money."""
    api_key: Path | None = None
    """File with the key for the acquirer."""
    timeout_s: float = 10.0


class LaneSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    lane: str
    scale: str
    """'8217:/dev/serial/by-path/…'"""
    scanner: str
    """'serial:/dev/serial/by-path/…'"""
    division_g: int = 5
    """Verification scale interval e of the exit scale."""
    pins: str = "lgpio"
    """gpiozero pin factory: its name, or 'package.module:callable?key=value'."""
    deactivator_pin: int = 17
    barrier_pin: int = 27
    alarm_input_pin: int = 22
    passage_input_pin: int = 23
    green_pin: int = 5
    amber_pin: int = 6
    red_pin: int = 13
    tone_pin: int = 19
    speaker: str = "espeak-ng"
    """'espeak-ng' speaks aloud; 'espeak-ng:DIR' writes one WAV file per sentence into DIR."""
    hold_s: float = 20.0
    """How long the barrier stays open for a passage before the lane asks again."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    identity: Identity
    broker: Broker
    database: str
    """SQLAlchemy address of the journal, e.g. sqlite:////var/lib/cartwright/store.db"""
    price_book: Path
    """The store's catalogue and prices (TOML or JSON, see docs)."""
    signing_key: Path
    """Ed25519 private key (PEM) that signs price books and exit tokens."""
    staff: Path
    """Staff file: names, roles and Argon2 hashes; written by `edge-agent staff add`."""
    web: Web = Web()
    payment: PaymentSettings = PaymentSettings()
    lanes: tuple[LaneSettings, ...] = ()
    token_ttl_s: int = 900
    """Life of an exit token (reference/payments, section 4: at most 15 minutes)."""
    binding_idle_s: int = 1800
    """A bound cart without any event for this long is handed back."""
