"""The flight recorder's file: one segment of what a cart perceived and decided, readable up to where it was torn.

    segment = b"CARTREC" version:u8 { length:u32 crc32:u32 chunk } ...      big-endian, crc32 over the chunk

The chunks are one deflate stream (RFC 1951), each ended by a sync flush, so that all whole ones can be read whatever
became of the next. What they inflate to is a row of MessagePack values: first a Header, then entries. Readings of load
cell and accelerometer, 80 and 20 a second, are `Sensed`: differences in variable-length numbers.
"""

import datetime as dt
import itertools
import operator
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from cart_firmware.core import scanning, weighing
from cart_firmware.core.calibration import Calibration
from cart_firmware.core.decision import Evidence
from cart_firmware.core.indication import Dial
from cart_firmware.core.remembered import OtherMemoryError, Tree, remember, remembered
from cart_firmware.core.scanning import Scanner
from cart_firmware.core.tilt import Axes
from cart_firmware.core.weighing import Accuracy, Weigher
from cart_protocol.basket import Basket, CartEvent
from cart_protocol.ids import SessionId
from cart_protocol.mass import Mass

FORMAT = 1
"""Raised when a reader of the version before would misread a segment."""
MAGIC = b"CARTREC"
FOR_EVER_MS = 1 << 62
_FRAME = struct.Struct(">II")
_LONGEST_CHUNK = 16 << 20
_LONGEST_INFLATED = 64 << 20
"""A chunk is one to two seconds; what claims to be more is damage or malice."""


class RecordingError(ValueError):
    """A file that is no record that this program can read; the text says what was found and what to do."""


class HeaderTornError(RecordingError):
    """The cart stopped while it began this segment: there is nothing in it."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name}: ends before its header is whole; nothing in it can be replayed")


class WeigherSettings(msgspec.Struct, frozen=True, kw_only=True):
    """All that a weigher is made with (cart_firmware.core.weighing.Weigher), but for the load it begins from."""

    zero_counts: int
    counts_per_kilogram: float
    rate_hz: float
    window_ms: int
    band_mg: int
    smallest_step_mg: int
    platform_mg: int
    up: Axes
    repeat_mg: int
    place_ppm: int
    division_mg: int
    capacity_mg: int
    sealed: bool

    def weigher(self, level: Mass) -> Weigher:
        """Return a new weigher that begins from `level`."""
        return Weigher(
            Calibration(zero_counts=self.zero_counts, counts_per_kilogram=self.counts_per_kilogram),
            rate_hz=self.rate_hz,
            window_ms=self.window_ms,
            band_mg=self.band_mg,
            smallest_step_mg=self.smallest_step_mg,
            level=level,
            platform_mg=self.platform_mg,
            up=self.up,
            accuracy=Accuracy(Mass(self.repeat_mg), self.place_ppm),
            dial=Dial(division=Mass(self.division_mg), capacity=Mass(self.capacity_mg), sealed=self.sealed),
        )


class FusionSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What decisions depend on beside basket, evidence and prices (cart_firmware.core.decision.Context)."""

    scan_patience_us: int
    drift_mg: int


class BookRef(msgspec.Struct, frozen=True, kw_only=True):
    """A price book and what was learned of masses, each by the SHA-256 of its text."""

    version: int
    book: str
    learned: str


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """All that a segment needs to be replayed without the one before it."""

    software: str
    cart: str
    at_us: int
    """Monotonic; `wall_ms` is the same moment by the cart's wall clock."""
    wall_ms: int
    synchronised: bool
    session: SessionId | None
    """The one session of which this segment tells; None between two."""
    weighing: WeigherSettings
    fusion: FusionSettings
    weigher: Tree
    scanner: Tree
    """Both as `kept_weigher` and `kept_scanner` return them."""
    basket: Basket
    evidence: Evidence
    waiting: list[tuple[msgspec.Raw, int]] = []
    """Orders that wait for the load to rest (cart_firmware.services.observations.Commanded), and until when."""
    book: BookRef | None = None


class _Entry(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """What happened next, in the order in which the cart's event loop saw it."""


class Sensed(_Entry, frozen=True):
    """A run of readings: conversions, accelerations, and ticks at which nothing was decided."""

    run: bytes


class Failed(_Entry, frozen=True):
    """A reading of load cell or accelerometer that must not be used, by name; `interrupts` began a new window."""

    at_us: int
    kind: str
    interrupts: bool


class Looked(_Entry, frozen=True):
    """A frame in which the barcode reader found something: symbology, payload, likelihood."""

    at_us: int
    empty: int
    """Frames without a code since the last one that had one, or since the segment began."""
    day: dt.date
    found: tuple[tuple[str, bytes, float | None], ...]


class Decided(_Entry, frozen=True):
    """One matter that was decided, and what followed."""

    at_us: int
    """What the decision took for now: when its evidence was complete."""
    kind: str
    """Type of the matter (cart_firmware.services.decide.Matter), `matter` its body."""
    matter: msgspec.Raw
    events: tuple[CartEvent, ...] = ()
    minted: tuple[str, ...] = ()
    """Ids that the decision drew."""
    code: str = ""
    """The code that was offered, if one was."""
    recorded: bool = True
    """False where the outbox had no room, so that nothing of it happened."""


class BookRefused(_Entry, frozen=True):
    """A price book was not taken over; one that is begins a new segment."""

    version: int
    reason: str


class Cropped(_Entry, frozen=True):
    """A small picture (JPEG) of what moved."""

    at_us: int
    picture: bytes


Entry = Sensed | Failed | Looked | Decided | BookRefused | Cropped


class Converted(msgspec.Struct, frozen=True, gc=False):
    """One conversion of the load cell."""

    at_us: int
    counts: int


class Leaned(msgspec.Struct, frozen=True, gc=False):
    """One reading of the accelerometer, in millionths of gravity."""

    at_us: int
    x: int
    y: int
    z: int


class Ticked(msgspec.Struct, frozen=True, gc=False):
    """Time passed, and changed nothing."""

    at_us: int


Reading = Converted | Leaned | Ticked

_encoder = msgspec.msgpack.Encoder()
_header_decoder = msgspec.msgpack.Decoder(Header)
_entry_decoder: "msgspec.msgpack.Decoder[Entry]" = msgspec.msgpack.Decoder(Entry)
_rows_decoder: "msgspec.msgpack.Decoder[list[msgspec.Raw]]" = msgspec.msgpack.Decoder(list[msgspec.Raw])


# ── segments ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class SegmentWriter:
    """Makes the bytes of one segment, chunk after chunk; each call's result is to be appended to the file."""

    def __init__(self) -> None:
        self._deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
        self._runs = _Packer()

    def begin(self, header: Header) -> bytes:
        """Return the head of the file. Call once, first."""
        return MAGIC + bytes([FORMAT]) + self._chunk([msgspec.Raw(_encoder.encode(header))])

    def chunk(self, entries: Iterable[Entry | Reading]) -> bytes:
        """Return the next chunk; readings in a row become one run."""
        rows, run = list[msgspec.Raw](), list[Reading]()
        for entry in entries:
            if isinstance(entry, Converted | Leaned | Ticked):
                run.append(entry)
                continue
            rows += self._run(run)
            run = []
            rows.append(msgspec.Raw(_encoder.encode(entry)))
        return self._chunk(rows + self._run(run))

    def _run(self, run: list[Reading]) -> list[msgspec.Raw]:
        return [msgspec.Raw(_encoder.encode(Sensed(self._runs.packed(run))))] if run else []

    def _chunk(self, rows: list[msgspec.Raw]) -> bytes:
        body = self._deflate.compress(_encoder.encode(rows)) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
        return _FRAME.pack(len(body), zlib.crc32(body)) + body


class Segment(msgspec.Struct, frozen=True):
    """A segment that was read: its header, what follows, and whether its end was torn off."""

    header: Header
    entries: list[Entry | Reading]
    whole: int
    """Bytes up to the end of the last whole chunk."""
    torn: bool


def read_segment(data: bytes, name: str) -> Segment:
    """Return what is whole in the bytes of a segment; `name` is for the text of errors.

    Raises:
        RecordingError: no segment, one of another format, or one whose header is not whole.
    """
    rows, whole = _rows(data, name)
    unpacker, entries = _Unpacker(), list[Entry | Reading]()
    try:
        header = _header_decoder.decode(next(rows_of_first := iter(rows)))
        for row in rows_of_first:
            entry = _entry_decoder.decode(row)
            entries += unpacker.unpacked(entry.run) if isinstance(entry, Sensed) else [entry]
    except StopIteration:
        raise HeaderTornError(name) from None
    except (msgspec.DecodeError, IndexError, TypeError, ValueError) as error:
        raise RecordingError(
            f"{name}: whole, but not what format {FORMAT} says ({error}); replay it with the version that wrote it"
        ) from error
    return Segment(header, entries, whole, whole < len(data))


def read_header(data: bytes, name: str) -> Header:
    """Return the header of a segment from its first bytes; see `read_segment` for errors."""
    rows, _ = _rows(data, name, most=1)
    if not rows:
        raise HeaderTornError(name)
    try:
        return _header_decoder.decode(rows[0])
    except msgspec.DecodeError as error:
        raise RecordingError(
            f"{name}: its header is not what format {FORMAT} says ({error}); replay it with the version that wrote it"
        ) from error


def _rows(data: bytes, name: str, most: int | None = None) -> tuple[list[msgspec.Raw], int]:
    """Return the rows of all whole chunks, or of the first `most`, and where they end."""
    _check_head(data, MAGIC, name)
    inflate, rows, at, chunks = zlib.decompressobj(-15), list[msgspec.Raw](), len(MAGIC) + 1, 0
    while (body := _body(data, at)) is not None and (most is None or chunks < most):
        try:
            rows += _rows_decoder.decode(inflate.decompress(body, _LONGEST_INFLATED))
        except (zlib.error, msgspec.DecodeError):
            break
        at, chunks = at + _FRAME.size + len(body), chunks + 1
    return rows, at


def _check_head(data: bytes, magic: bytes, name: str) -> None:
    if magic.startswith(data):
        raise HeaderTornError(name)
    if len(data) <= len(magic) or not data.startswith(magic):
        raise RecordingError(f"{name}: is no record of a cart; name a file that 'cart-firmware recording' lists")
    if data[len(magic)] != FORMAT:
        raise RecordingError(
            f"{name}: was recorded in format {data[len(magic)]}; this program reads format {FORMAT}: "
            "replay it with the version that recorded it"
        )


def _body(data: bytes, at: int) -> bytes | None:
    """Return the chunk at `at`, None where the file ends or is torn."""
    if at + _FRAME.size > len(data):
        return None
    length, check = _FRAME.unpack_from(data, at)
    body = data[at + _FRAME.size : at + _FRAME.size + length]
    if not 0 < length <= _LONGEST_CHUNK or len(body) < length or zlib.crc32(body) != check:
        return None
    return body


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """A segment for people: wall times of its first and last entry, bytes, and whose session it tells of."""

    file: str
    from_ms: int
    until_ms: int
    size: int
    session: SessionId | None
    software: str


# ── bundles ──────────────────────────────────────────────────────────────────────────────────────────────────────────

BUNDLE_MAGIC = b"CARTSET"
_LONGEST_BUNDLE = 1 << 30


class Bundle(msgspec.Struct, frozen=True):
    """Segments by name, and the texts that they refer to by digest: a record that needs nothing beside it."""

    segments: dict[str, bytes]
    texts: dict[str, str]


def bundled(bundle: Bundle) -> bytes:
    """Return a bundle as one file, compressed."""
    return BUNDLE_MAGIC + bytes([FORMAT]) + zlib.compress(_encoder.encode(bundle), 9)


def sessions_of(bundle: Bundle) -> tuple[SessionId, ...]:
    """Return of which sessions a bundle's segments tell, in their order."""
    headers = [read_header(data, name) for name, data in bundle.segments.items()]
    return tuple(dict.fromkeys(header.session for header in headers if header.session is not None))


def read_bundle(data: bytes, name: str) -> Bundle:
    """Return what `bundled` made a file of; for errors see `read_segment`."""
    _check_head(data, BUNDLE_MAGIC, name)
    try:
        inflated = zlib.decompressobj().decompress(data[len(BUNDLE_MAGIC) + 1 :], _LONGEST_BUNDLE)
        return msgspec.msgpack.decode(inflated, type=Bundle)
    except (zlib.error, msgspec.DecodeError) as error:
        raise RecordingError(f"{name}: damaged ({error}); ask the cart for it again") from error


# ── what weigher and scanner hold ────────────────────────────────────────────────────────────────────────────────────

_OF_WEIGHER = (
    "_calibration", "_dial", "_accuracy", "_gap_us", "_smallest_ug", "_platform_ug", "_per_slice", "_per_block",
    "slice_us", "_mg_per_count", "_band", "_up",
)  # fmt: skip
_OF_SCANNER = ("_prices",)
"""What they are made with, or make of it at once: the header has it, and a rule that changed is to show."""


def kept_weigher(weigher: Weigher) -> Tree:
    """Return what a weigher holds now."""
    return remembered(weigher, without=_OF_WEIGHER)


def kept_scanner(scanner: Scanner) -> Tree:
    """Return what a scanner holds now."""
    return remembered(scanner, without=_OF_SCANNER)


def restored(header: Header, name: str) -> tuple[Weigher, Scanner]:
    """Return weigher and scanner as they were when the segment began, the scanner without a price book.

    Raises:
        RecordingError: they held other things then; `name` is for the text.
    """
    weigher, scanner = header.weighing.weigher(Mass(0)), Scanner()
    try:
        remember(weigher, header.weigher, weighing.REMEMBERED, without=_OF_WEIGHER)
        remember(scanner, header.scanner, scanning.REMEMBERED, without=_OF_SCANNER)
    except OtherMemoryError as error:
        raise RecordingError(
            f"{name}: {error}; replay it with the version that recorded it, {header.software}"
        ) from error
    return weigher, scanner


# ── readings, as differences ─────────────────────────────────────────────────────────────────────────────────────────

_KINDS: tuple[type[Reading], ...] = (Converted, Leaned, Ticked)


class _Packer:
    """A run of readings to bytes, by columns, since what repeats deflates to nothing.

    How many; of which kind each; by how much its interval changed, and its values since the last of its kind.
    """

    def __init__(self) -> None:
        self._last: list[tuple[int, ...]] = [(0,) * len(kind.__struct_fields__) for kind in _KINDS]
        self._interval = [0] * len(_KINDS)

    def packed(self, readings: Sequence[Reading]) -> bytes:
        kinds, times, columns = bytearray(), bytearray(), bytearray()
        for reading in readings:
            kind = _KINDS.index(type(reading))
            values, last = msgspec.structs.astuple(reading), self._last[kind]
            interval = values[0] - last[0]
            kinds.append(kind)
            _put(times, _zigzag(interval - self._interval[kind]))
            for value, before in zip(values[1:], last[1:], strict=True):
                _put(columns, _zigzag(value - before))
            self._last[kind], self._interval[kind] = values, interval
        count = bytearray()
        _put(count, len(kinds))
        return bytes(count + kinds + times + columns)


class _Unpacker:
    """The way back of `_Packer`; fed its runs in order."""

    def __init__(self) -> None:
        self._last: list[tuple[int, ...]] = [(0,) * len(kind.__struct_fields__) for kind in _KINDS]
        self._interval = [0] * len(_KINDS)

    def unpacked(self, run: bytes) -> Iterator[Reading]:
        """Raises IndexError where the run is no run."""
        numbers = _numbers(run)
        count = numbers[0]
        kinds, times, columns = (
            numbers[1 : 1 + count],
            numbers[1 + count : 1 + 2 * count],
            iter(numbers[1 + 2 * count :]),
        )
        for kind, time in zip(kinds, times, strict=True):
            self._interval[kind] += _signed(time)
            last = self._last[kind]
            changes = [_signed(each) for each in itertools.islice(columns, len(last) - 1)]
            values = (last[0] + self._interval[kind], *map(operator.add, last[1:], changes))
            self._last[kind] = values
            yield _KINDS[kind](*values)


def _zigzag(number: int) -> int:
    return number << 1 if number >= 0 else (-number << 1) - 1


def _signed(number: int) -> int:
    return -((number + 1) >> 1) if number & 1 else number >> 1


def _put(packed: bytearray, number: int) -> None:
    """Append seven bits at a time, the lowest first; the top bit says that more follow."""
    while number > 127:
        packed.append(number & 127 | 128)
        number >>= 7
    packed.append(number)


def _numbers(run: bytes) -> list[int]:
    found = list[int]()
    number = shift = 0
    for byte in run:
        number |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            found.append(number)
            number = shift = 0
    return found
