"""Everything that travels between a cart and its store: one frozen type per message."""

from typing import Annotated

import msgspec
from msgspec import Meta

from cart_protocol.basket import STORABLE, Basket, CartEvent, Position
from cart_protocol.ids import CommandId, Epoch, LessonId, ProductId, RecordId, Seq, SessionId
from cart_protocol.sight import MOST_SHOTS, Learned

PROTOCOL_VERSION = 1
"""Raised when a message changes so that an older reader would misread it; added fields do not raise it."""


LATEST_MS = (1 << 63) - 1
"""No bound in wall time."""


class CartTime(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """When the evidence was complete, by the cart's clocks. Order is by (epoch, seq), never by these.

    `monotonic_us` counts from the boot named `boot`; `wall_ms` is Unix time and worth something only if `synchronised`.
    """

    boot: str
    monotonic_us: Annotated[int, STORABLE]
    wall_ms: Annotated[int, STORABLE]
    synchronised: bool


class Recorded(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """A cart event with its place in the stream."""

    seq: Annotated[Seq, STORABLE]
    at: CartTime
    event: CartEvent


class _Message(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    gc=False,
    tag_field="type",
    tag=lambda name: name,
):
    """Base of all messages; on the wire `type` is the class name and `v` the protocol version."""

    v: int = PROTOCOL_VERSION


# ── cart to store ────────────────────────────────────────────────────────────────────────────────────────────────


class Birth(_Message, frozen=True):
    """The cart (re)connected: `position` is the last event it recorded, `oldest` the first it can still send."""

    position: Position
    oldest: Annotated[Seq, STORABLE]
    software: str


class Events(_Message, frozen=True):
    """Events with consecutive seq of one epoch."""

    epoch: Annotated[Epoch, STORABLE]
    events: tuple[Recorded, ...]


class Snapshot(_Message, frozen=True):
    """The whole basket as of `position`; answers a gap that resending cannot close."""

    position: Position
    basket: Basket
    answers: Position | None = None
    """The SnapshotRequest's position: the store adopts a snapshot only while it still stands there."""


class Presence(_Message, frozen=True):
    """Retained, and the cart's will: a cache for displays, never truth."""

    online: bool
    low_on: tuple[str, ...] = ()
    """What the cart runs out of: 'outbox' (places for events that wait for the store), 'disk'. Staff hear of it."""
    sends_records: bool = False
    """Whether this cart understands a RecordWanted; one of an earlier version does not."""
    sight_network: str = ""
    """SHA-256 of network and space by which it knows goods by sight, in hexadecimal; empty where it does not."""
    sight_version: Annotated[int, STORABLE] = 0
    """Of the SightIssue that it uses; 0 before the first."""
    takes_lessons: bool = False
    """Whether goods can be shown to this cart (LessonWanted): it knows them by sight."""


class RecordPart(_Message, frozen=True):
    """A part of a record. Each part says what the whole is, so that any of them may be lost, repeated or come late."""

    record: RecordId
    part: Annotated[int, STORABLE]
    """From 0. All but the last have the same length (cart_protocol.parcel.PART_BYTES)."""
    size: Annotated[int, STORABLE]
    """Bytes of all parts together."""
    sha256: str
    """Of all parts together, in hexadecimal."""
    picture: Annotated[int, STORABLE]
    """So many bytes at the beginning are a picture of the record (PNG); the rest is the file for `replay`."""
    sessions: tuple[SessionId, ...]
    """Of whom the record tells."""
    data: bytes
    """In base64."""


class RecordUnavailable(_Message, frozen=True):
    """The cart cannot send the record that is wanted: `reason` for programs, `sentence` for staff."""

    record: RecordId
    reason: str
    sentence: str


class PicturesWanted(_Message, frozen=True):
    """Send the pictures of these names, which the price book gives. Asked again until they are there."""

    pictures: tuple[str, ...]
    """At most cart_protocol.product_picture.MOST_AT_ONCE; the store leaves more unanswered."""


class LessonShown(_Message, frozen=True):
    """How far a lesson has come, or that it is over; answers every LessonWanted, and is said again when it changes."""

    lesson: LessonId
    shots: Annotated[int, Meta(ge=0, le=MOST_SHOTS)] = 0
    """So many were taken."""
    seen: str = ""
    """What the camera sees of the product, for programs."""
    reason: str = ""
    """Why there will be no more of it, for programs; empty while it goes on."""
    sentence: str = ""
    """The same for staff."""


class LessonLearned(_Message, frozen=True):
    """What came of a lesson. Said again until a LessonKept answers; a cart keeps it over restarts."""

    lesson: LessonId
    learned: Learned


# ── store to cart ────────────────────────────────────────────────────────────────────────────────────────────────


class Ack(_Message, frozen=True):
    """Cumulative: the store has committed everything up to `position`. Only this clears the outbox."""

    position: Position


class SnapshotRequest(_Message, frozen=True):
    """The store cannot continue from `position`; the cart answers with a Snapshot."""

    position: Position


class Refusal(_Message, frozen=True):
    """The store could not read what the cart sent. Nothing was committed or acknowledged; the cart keeps it."""

    reason: str


class BeginSession(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag=True):
    session: SessionId
    code: str
    """The code the shopper presented; the cart refuses if it shows another by now."""


class EndSession(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag=True):
    session: SessionId
    reason: str


class Freeze(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag=True):
    session: SessionId


class Thaw(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag=True):
    session: SessionId


class SetWithdrawn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag=True):
    withdrawn: bool


class ExplainWeight(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag=True):
    """Staff looked into the cart: the unexplained steps are in order."""

    session: SessionId


Instruction = BeginSession | EndSession | Freeze | Thaw | SetWithdrawn | ExplainWeight


class Command(_Message, frozen=True):
    """Do this once. The same id again repeats the first answer; after `expires_ms` (store wall clock) do nothing."""

    id: CommandId
    expires_ms: int
    instruction: Instruction
    sent_ms: int | None = None
    """The store's clock when this was sent: what is left of the command's life, however wrong either clock may be."""


class RecordWanted(_Message, frozen=True):
    """Send this part of what the flight recorder holds of a session, or of a span of the cart's wall time: staff ask.

    It is answered by a RecordPart or a RecordUnavailable, and may be asked again at any time. Asking for the next part
    is the only acknowledgement; a cart that does not have such a part (any more) sends the first one.
    """

    record: RecordId
    part: Annotated[int, STORABLE]
    most: Annotated[int, STORABLE]
    """Bytes that the store takes."""
    session: SessionId | None = None
    from_ms: Annotated[int, STORABLE] = 0
    until_ms: Annotated[int, STORABLE] = LATEST_MS


class ProductPicture(_Message, frozen=True):
    """A picture that the cart asked for: its name is the SHA-256 of `data`, hence not said."""

    data: bytes
    """In base64: PNG, JPEG or WebP, at most cart_protocol.product_picture.MOST_BYTES."""


class LessonWanted(_Message, frozen=True):
    """Watch a product being shown. Said again every few seconds, as long as the lesson is to go on."""

    lesson: LessonId
    product: ProductId
    name: str
    """For the cart's screen."""
    shots: Annotated[int, Meta(ge=1, le=MOST_SHOTS)]
    stop: bool = False
    """End it instead."""


class LessonKept(_Message, frozen=True):
    """The store has what came of a lesson, or does not want it: the cart may forget it."""

    lesson: LessonId


class StoreBirth(_Message, frozen=True):
    """The store's agent (re)started; every cart answers with its Birth. `wall_ms` is the store's clock."""

    wall_ms: int


class PriceBookIssue(_Message, frozen=True):
    """A signed price book. `book` is the msgspec-JSON of pricing.PriceBook, signed as the bytes that stand here."""

    version: int
    book: str
    signature: str
    """Ed25519 over the UTF-8 of `book`, base64."""
    learned: str = ""
    """What the store learned of the masses since: the msgspec-JSON of pricing.LearnedMasses, likewise signed."""
    learned_signature: str = ""


class SightIssue(_Message, frozen=True):
    """What the store taught of goods by sight. `goods` is the msgspec-JSON of sight.TaughtGoods, signed as it is."""

    version: Annotated[int, STORABLE]
    goods: str
    signature: str
    """Ed25519 over the UTF-8 of `goods`, base64."""


CartMessage = (
    Birth | Events | Snapshot | Presence | RecordPart | RecordUnavailable | PicturesWanted | LessonShown | LessonLearned
)
StoreMessage = (
    Ack
    | SnapshotRequest
    | Refusal
    | Command
    | RecordWanted
    | ProductPicture
    | LessonWanted
    | LessonKept
    | StoreBirth
    | PriceBookIssue
    | SightIssue
)
Message = CartMessage | StoreMessage
