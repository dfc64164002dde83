"""When a code that was read is believed: evidence adds up, in nats, until the odds of a misread are small enough.

For a code speak how hard its symbology is to misread, that the shop has it (a misread seldom hits what the shop
sells), how much better the picture fits it than any other code, and that further frames say the same. Frames of one
pack share its blur and its glare, so each further one counts less. Against it speaks a code that resembles it and that
other frames showed in its place. What is not in the catalogue is told the shopper only after a second look.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from cart_protocol.gs1.gtin import compress_upc_a

Symbol = tuple[str, bytes]
"""A symbology identifier (ISO/IEC 15424) and the payload."""
Likelihood = float | None
"""Of a reading: nats by which the picture fits it better than the next code; None where nobody compared."""
Nats = float

BELIEVED: Nats = 11.0
"""One misread accepted among e^11, sixty thousand readings."""
REFUSED: Nats = 7.5
"""For telling the shopper that a code is nothing to sell: a wrong word costs a moment, no money. The catalogue does not
vouch for the date of a pack that it knows, so an expired one counts as unknown here."""
_LOOKS_TO_REFUSE = 2
_LOOKS_KEPT = 8
_TOGETHER_US = 700_000
"""Two looks at one code belong together: several frames at the slowest useful rate, less than a change of packs."""

_STRENGTH: Mapping[str, Nats] = {"]Q": 9.0, "]d": 9.0, "]C": 7.0, "]e": 5.0, "]E": 4.2, "]I": 3.0}
"""Log odds that one reading is right. On photographs (docs/PERFORMANCE.md) 5 of 330 readings of EAN/UPC were wrong,
1 of 310 of DataBar, none with the Reed-Solomon code of QR or the checksum of Code 128 (modulo 103)."""
_STRENGTH_UNKNOWN: Nats = 3.0
_STRENGTH_UPC_E: Nats = 3.0
"""Six digits whose only check is the pattern of their parities."""

_SPARSE: Nats = 5.7
"""A misread hits something the shop sells once in 300: far likelier than a random number (20,000 of 10^12), as misreads
resemble the truth and a maker's products have neighbouring numbers."""
_DENSE: Nats = 3.0
"""Where numbers are short (EAN-8, UPC-E), and on the shop's own labels, of which only the item number is looked up."""

_SECOND_LOOK: Nats = 4.0
_NEXT_LOOK = 0.65
"""Worth of each further look as a share of the one before."""
_LIKELY_ANYWAY: Nats = 9.0
"""What wrong words reach (cart_firmware.perception.scanline); only what exceeds it says something."""
_LIKELIHOOD_SHARE = 0.5
_MOST_OF_LIKELIHOOD: Nats = 4.0
_DISAGREES: Nats = 3.0
"""Where every look was compared and none fits: all of 36 wrong readings of photographs, and 1 in 22 of the right ones
(creases, glare). A pack that lies still may be misread for ever in one way, so such looks do not count as repeated."""
_CONTRADICTION: Nats = 2.5
_MOST_OF_CONTRADICTIONS: Nats = 5.0
"""Two neighbours in the catalogue may really stand side by side: then they cost looks, but stay possible."""
_RESEMBLES = 5
"""Digits of thirteen in which a misread differs at most: a wrong digit or two, and the check digit that fits them."""


def belief(symbol: Symbol, looks: Sequence[Likelihood], *, known: bool, contradictions: int = 0) -> Nats:
    """Return the log odds that the code is really there, after these looks in any order; none: minus infinity."""
    if not looks:
        return float("-inf")
    speaking = [look for look in looks if look is None or look > 0]
    repeated = _SECOND_LOOK * (1 - _NEXT_LOOK ** max(len(speaking) - 1, 0)) / (1 - _NEXT_LOOK)
    fits = max(((look - _LIKELY_ANYWAY) * _LIKELIHOOD_SHARE for look in looks if look is not None), default=0.0)
    against = min(contradictions * _CONTRADICTION, _MOST_OF_CONTRADICTIONS)
    return (
        _strength(symbol)
        + (_rarity(symbol) if known else 0.0)
        + repeated
        + min(max(fits, 0.0), _MOST_OF_LIKELIHOOD)
        - (0.0 if speaking else _DISAGREES)
        - against
    )


def accepted(symbol: Symbol, looks: Sequence[Likelihood], *, known: bool, contradictions: int = 0) -> bool:
    """Return whether the code may be acted upon: charged if the shop has it, refused to the shopper if not."""
    if not known and len(looks) < _LOOKS_TO_REFUSE:
        return False
    least = BELIEVED if known else REFUSED
    return belief(symbol, looks, known=known, contradictions=contradictions) >= least


def resemble(one: Symbol, other: Symbol) -> bool:
    """Return whether one of two different codes could be a misread of the other."""
    (family, text), (other_family, other_text) = one, other
    if one == other or family[:2] != other_family[:2] or len(text) != len(other_text):
        return False
    return sum(a != b for a, b in zip(text, other_text, strict=True)) <= _RESEMBLES


class _Frame(msgspec.Struct, frozen=True):
    at_us: int
    symbols: Mapping[Symbol, Likelihood]


REMEMBERED = (_Frame,)
"""What evidence holds, for a recording (cart_firmware.core.remembered)."""


class Evidence:
    """What the frames of the last moment said. Fed in order of time; forgets what lies further back."""

    def __init__(self) -> None:
        self._frames: dict[Symbol, list[_Frame]] = {}

    def saw(self, at_us: int, symbols: Iterable[Symbol], likelihoods: Mapping[Symbol, float] | None = None) -> None:
        """Take in one frame."""
        gone = [symbol for symbol, frames in self._frames.items() if at_us - frames[-1].at_us > _TOGETHER_US]
        for symbol in gone:
            del self._frames[symbol]
        frame = _Frame(at_us, {symbol: (likelihoods or {}).get(symbol) for symbol in symbols})
        for symbol in frame.symbols:
            self._frames[symbol] = [*self._frames.get(symbol, ())[1 - _LOOKS_KEPT :], frame]

    def accepts(self, symbol: Symbol, *, known: bool) -> bool:
        """Return whether the frames so far are enough. `known`: the catalogue has it."""
        looks = [frame.symbols[symbol] for frame in self._frames.get(symbol, ())]
        return accepted(symbol, looks, known=known, contradictions=self._contradictions(symbol))

    def _contradictions(self, symbol: Symbol) -> int:
        """Count the frames that had a code like it in its place: one seen beside it is another pack."""
        return sum(
            symbol not in frame.symbols
            for other, frames in self._frames.items()
            if resemble(symbol, other)
            for frame in frames
        )


def _strength(symbol: Symbol) -> Nats:
    if _is_upc_e(symbol):
        return _STRENGTH_UPC_E
    return _STRENGTH.get(symbol[0][:2], _STRENGTH_UNKNOWN)


def _rarity(symbol: Symbol) -> Nats:
    symbology, payload = symbol
    own = symbology in ("]E0", "]E3") and (payload[:2] == b"02" or payload[:1] == b"2")
    return _DENSE if own or symbology == "]E4" or _is_upc_e(symbol) else _SPARSE


def _is_upc_e(symbol: Symbol) -> bool:
    """Return whether it may have been printed as UPC-E: decoders give that in its 13 digits."""
    symbology, payload = symbol
    plain = symbology == "]E0" and len(payload) == 13 and payload.isdigit() and payload[:1] == b"0"
    return plain and compress_upc_a(payload[1:].decode()) is not None
