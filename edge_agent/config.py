"""The edge agent's configuration file, described. Unknown keys stop the start (cart_protocol.host.configuration).

The catalogue that `price_book` names has its own format: docs/PRICE_BOOK.md, read by edge_agent.store.price_book_file.
"""

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta


class Identity(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    store: str
    """Id of this store; part of every topic."""
    name: str
    """What shoppers read on pages and receipts."""
    registration: str = ""
    """Company or tax registration number, kept for the receipt; nothing shows it yet."""
    address: str = ""
    """Postal address, kept for the receipt; nothing shows it yet."""


class Broker(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    host: str
    """Name or address of the MQTT broker, as in its certificate."""
    port: int = 8883
    """TLS port of the broker; there is none without TLS."""
    authority: Path
    """Certificate of the store's authority (PEM); the broker must show one signed by it."""
    certificate: Path
    """The agent's own certificate (PEM), signed by that authority."""
    key: Path
    """Private key (PEM) of that certificate."""
    keepalive_s: int = 15
    """How often the connection shows that it lives; the broker counts one and a half times this silence as a loss."""


class Web(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    host: str = "127.0.0.1"
    """Address to serve the pages on; anything but loopback needs `certificate` and `key`."""
    port: int = 8443
    """TCP port to serve the pages on."""
    public_address: str = ""
    """How phones reach us, e.g. https://shop.example; empty: http://HOST:PORT."""
    certificate: Path | None = None
    """HTTPS certificate (PEM). Without one the pages are served on loopback only."""
    key: Path | None = None
    """Private key (PEM) of the HTTPS certificate."""


class PaymentSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    acquirer: str = "test:http://127.0.0.1:8790"
    """'test:ADDRESS' is the test acquirer: no real money."""
    api_key: Path | None = None
    """File with the key for the acquirer."""
    timeout_s: float = 10.0
    """How long one call to the acquirer may take; after it the payment is unknown and is asked about."""
    notice_secret: Path | None = None
    """File with the secret the acquirer signs its notices with (POST /acquirer/notice); without one none are taken."""


class LaneSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    lane: str
    """Id of this lane; console and journal name it so."""
    scale: str
    """The lane's scale: '8217:/dev/serial/by-path/…'"""
    scanner: str
    """The lane's code scanner: 'serial:/dev/serial/by-path/…'"""
    division_g: int = 5
    """Verification scale interval e of the exit scale."""
    pins: str = "lgpio"
    """gpiozero pin factory: its name, or 'package.module:callable?key=value'."""
    deactivator_pin: int = 17
    """GPIO number (BCM, as for all pins) of the relay that makes the deactivation pad live."""
    barrier_pin: int = 27
    """GPIO of the relay that holds the barrier open."""
    alarm_input_pin: int = 22
    """GPIO of the pedestals' alarm contact: closes to ground for a live tag."""
    passage_input_pin: int = 23
    """GPIO of the passage contact: closes to ground when somebody goes through."""
    green_pin: int = 5
    """GPIO of the green lamp: go through."""
    amber_pin: int = 6
    """GPIO of the amber lamp: wait, or the lane is out of order."""
    red_pin: int = 13
    """GPIO of the red lamp: stop."""
    tone_pin: int = 19
    """GPIO of the sounder: an alarm stands."""
    speaker: str = "espeak-ng"
    """'espeak-ng' speaks aloud; 'espeak-ng:DIR' writes one WAV file per sentence into DIR."""
    hold_s: float = 20.0
    """How long the barrier stays open for a passage before the lane asks again."""


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may fill up, and from when on staff hear of it. What happens at each limit: docs/LIMITS.md."""

    disk_warn_mb: Annotated[int, Meta(ge=1, le=10_000_000)] = 1_000
    """An alarm stands while the disk of a SQLite journal has less free than this."""
    disk_floor_mb: Annotated[int, Meta(ge=0, le=10_000_000)] = 200
    """With less free than this no new shopper may start; running trips are finished and paid."""
    disk_reserve_mb: Annotated[int, Meta(ge=0, le=100_000)] = 64
    """Room laid by beside the journal; a disk that is full gets it back, so that running trips can be finished."""
    journal_warn_mb: Annotated[int, Meta(ge=1, le=10_000_000)] = 20_000
    """An alarm stands while the journal itself is larger than this: a start takes longer with every fact."""
    log_warn_mb: Annotated[int, Meta(ge=1, le=10_000_000)] = 256
    """An alarm stands while the journal's write-ahead log is larger: somebody reads the database without end."""
    waiting_warn: Annotated[int, Meta(ge=1, le=10_000_000)] = 20_000
    """An alarm stands while more decisions than this wait to be recorded."""
    commit_warn_ms: Annotated[int, Meta(ge=1, le=3_600_000)] = 2_000
    """An alarm stands while the newest commit took longer than this."""
    pages: Annotated[int, Meta(ge=10, le=100_000)] = 2_000
    """Live pages of all phones and consoles together; one more is refused and tries again by itself."""
    pages_per_client: Annotated[int, Meta(ge=1, le=1_000)] = 6
    """Live pages of one browser: what it opens to one host over HTTP/1.1."""
    payments_warn: Annotated[int, Meta(ge=1, le=1_000_000)] = 100
    """An alarm stands while more payments than this have no answer from the acquirer."""
    strangers: Annotated[int, Meta(ge=1, le=1_000_000)] = 10_000
    """Carts that spoke and never reported anything; one more is not listened to."""
    record_mb: Annotated[int, Meta(ge=1, le=64)] = 8
    """The largest record that is taken from a cart's flight recorder; four may be on their way, in memory."""
    records_mb: Annotated[int, Meta(ge=1, le=100_000)] = 512
    """What the records that are kept may take together; the oldest goes."""
    records_days: Annotated[int, Meta(ge=1, le=3_650)] = 30
    """How long a cart's record is kept."""


class Cluster(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of several agents that share a PostgreSQL."""

    shared: bool = False
    """Whether other agents write to the same database; without it this agent has the store to itself."""
    agent: str = "agent"
    """This agent's name at the broker: that of its certificate, from `edge-agent init` or `edge-agent issue-agent`."""
    partitions: Annotated[int, Meta(ge=1, le=64)] = 1
    """Into how many the carts are divided; the same in every agent, and for the life of the journal."""
    home: tuple[int, ...] = ()
    """Partitions (0 and up) that this agent takes at once when they are free; others only when nobody else does."""
    lease_s: Annotated[float, Meta(ge=3.0, le=60.0)] = 4.0
    """How long an agent that says nothing keeps its partitions; then others take them over."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    identity: Identity
    broker: Broker
    database: str
    """Address of the journal: sqlite:////var/lib/cartwright/store.db or postgresql+psycopg://USER@HOST/NAME"""
    price_book: Path
    """The store's catalogue and prices: TOML, or JSON of the same shape. Every key is in docs/PRICE_BOOK.md."""
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
    limits: Limits = Limits()
    cluster: Cluster = Cluster()
