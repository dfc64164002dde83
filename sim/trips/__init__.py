"""Labelled trips of a cart: what its sensors felt, and apart from that what people really did.

`trip(seed)` is the one entry; the same seed makes the same trip. A detector is given `Trip.felt` and judged by
`Trip.truth`. Sizes and rates are those of the project's notes on hardware and on frauds where these know one; the rest
are our own guesses, so figures rank methods and do not promise what a real cart does.
"""

from sim.trips.signal import Felt
from sim.trips.story import Settings
from sim.trips.trip import Trip, trip
from sim.trips.truth import Action, Deed, How, Kind, Scan, Situation, Truth

__all__ = ["Action", "Deed", "Felt", "How", "Kind", "Scan", "Settings", "Situation", "Trip", "Truth", "trip"]
