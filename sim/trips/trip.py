"""One trip: what was felt and scanned, and apart from it the truth."""

import msgspec

from sim.trips.signal import Felt, felt
from sim.trips.story import Manner, Phase, Settings, tell
from sim.trips.truth import Scan, Truth

_SWAYS_S = {Manner.ROUND: 3.0, Manner.HANGING: 3.0}


class Trip(msgspec.Struct, frozen=True):
    seconds: float
    felt: Felt
    scans: list[Scan]
    truth: Truth
    phases: list[Phase]
    """Where it rolled and stood: truth as well."""
    handled: list[tuple[float, float]]
    """From when until when a hand, a child, or goods that came, went or swayed were on the platform: truth as well."""


def trip(seed: int, settings: Settings | None = None) -> Trip:
    """Return the trip of this seed."""
    settings = settings or Settings()
    story = tell(seed, settings)
    touched = [(touch.from_s, touch.until_s) for touch in story.touches]
    moved = [(placed.began_s, placed.at_s + _SWAYS_S.get(placed.manner, 0.0)) for placed in story.placed]
    handled = sorted(touched + moved)
    return Trip(story.seconds, felt(story, seed, settings), story.scans, story.truth, story.phases, handled)
