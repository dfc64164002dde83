"""What a visit left: how the basket differs afterwards, and what went in and came out at the tip of the arm.

Two things tell goods that were put down from goods that were taken up, and neither knows what an arm looks like:

- Where the basket changed, the outline of the change is an edge in the picture that has the thing: afterwards, if it was
  put down; before, if it was taken up.
- The grey levels that were there afterwards went in at the arm's tip and did not come out again, if it was put down;
  those of before came out and had not gone in, if it was taken up.
"""

from collections.abc import Sequence

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from cart_firmware.perception.backdrop import Levels
from cart_firmware.perception.visit import Greys, Tip, Visit, tip_of

_LEAST_CHANGE = 12
"""Pixels of the reduced picture."""
_LIMIT_SHARE = 0.8
"""Of the limit of a moving picture: before and after are means of several."""
_EDGE = 8.0
"""Sum of a Sobel's weights times two grey levels: edges below it are noise."""
_FEW = 6.0
"""Pixels added to every count of greys, so that few say little."""
_ENTERED = 8.0
_DEEP = 0.8
"""Share of the greatest depth up to which an arm is on its way."""
_SQUARE = np.ones((3, 3), np.uint8)
_NEAR = 6.0
"""Pixels of depth within which two tips are compared."""
_LARGEST_SHARE = 0.2
"""Of all that changed: smaller spots are not asked which way they went."""


class Remains(msgspec.Struct, frozen=True):
    """What was measured of a visit; logarithms of ratios, positive for put down, negative for taken up."""

    area: int
    """Pixels inside that changed; 0 is an empty hand, or goods that look like what they lie on."""
    edges: float = 0.0
    """Of the outlines of all that changed, by their area."""
    brought: float = 0.0
    """Of the greys that are there now: how much more of them went in than came out."""
    fetched: float = 0.0
    """Of the greys that were there before: the same, so negative where they came out."""
    most_put: float = 0.0
    most_taken: float = 0.0
    """The same three, added up, of the spot that speaks most for either."""
    wider: float = 0.0
    """By which share the tip was larger on its way in than on its way out."""
    unlike: float = 0.0
    """How much the greys of the tip differ between both ways: 0 to 2."""
    inward: float = 0.0
    outward: float = 0.0
    """How far the corners at the rim went, in pixels."""


def remains(visit: Visit, after: Levels) -> Remains:
    """Return what is left of a visit, given the inside as it was when nothing moved any more."""
    changed, spots = _changes(visit, after)
    if not spots:
        return Remains(0)
    inwards, outwards = _ways(visit, after)
    came, went = _greys(inwards), _greys(outwards)
    more_came = np.log((came + _FEW) / (went + _FEW))
    before = visit.before
    before_edges, after_edges = _gradients(before), _gradients(after)
    areas = np.array([int(spot.sum()) for spot in spots], np.float64)
    edges = np.array([_edge_ratio(spot, before_edges, after_edges) for spot in spots])
    told = [
        edge + _told(more_came, after[spot]) + _told(more_came, before[spot])
        for edge, spot, area in zip(edges, spots, areas, strict=True)
        if area >= _LARGEST_SHARE * areas.sum()
    ] or [0.0]
    travel = [moment.inward for moment in visit.moments]
    return Remains(
        area=int(areas.sum()),
        edges=float((edges * areas).sum() / areas.sum()),
        brought=_told(more_came, after[changed]),
        fetched=_told(more_came, before[changed]),
        most_put=max(told),
        most_taken=min(told),
        wider=_wider(inwards, outwards),
        unlike=float(np.abs(came / (came.sum() + 1) - went / (went.sum() + 1)).sum()),
        inward=sum(step for step in travel if step > 0),
        outward=-sum(step for step in travel if step < 0),
    )


def _changes(visit: Visit, after: Levels) -> tuple[NDArray[np.bool_], list[NDArray[np.bool_]]]:
    difference = np.abs(after - visit.before)
    differs = ((difference > _LIMIT_SHARE * visit.limit) & (visit.depth > 2)).astype(np.uint8)
    clean = cv2.morphologyEx(cv2.medianBlur(differs, 3), cv2.MORPH_CLOSE, _SQUARE)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(clean)
    spots = [labels == number for number in range(1, count) if stats[number, cv2.CC_STAT_AREA] >= _LEAST_CHANGE]
    return np.asarray(np.any(spots, axis=0), np.bool_) if spots else np.zeros_like(labels, np.bool_), spots


def _ways(visit: Visit, after: Levels) -> tuple[list[Tip], list[Tip]]:
    """Return the tips on the way in, seen before the first is deep, and on the way out, seen after the last was."""
    moments = visit.moments
    deepest = max(moment.tip.depth for moment in moments)
    inwards = list[Tip]()
    ends = 0
    for ends, moment in enumerate(moments):
        if moment.tip.depth >= _ENTERED:
            inwards.append(moment.tip)
        if moment.tip.depth >= _DEEP * deepest:
            break
    backdrop = np.asarray(cv2.convertScaleAbs(after), np.uint8)
    outwards = list[Tip]()
    for moment in reversed(moments[ends + 1 :]):
        tip = tip_of(moment.picture, backdrop, visit.limit, visit.depth)
        if tip.depth >= _ENTERED:
            outwards.append(tip)
        if tip.depth >= _DEEP * deepest:
            break
    return inwards, outwards


def _greys(tips: Sequence[Tip]) -> Greys:
    """Return the mean tip's greys, neighbouring ranges mixed: light on a turning thing varies."""
    if not tips:
        return np.zeros(18, np.float32)
    mean = np.mean([tip.greys for tip in tips], axis=0)
    return np.convolve(mean, (0.25, 0.5, 0.25), "same").astype(np.float32)


def _told(more_came: Greys, levels: Levels) -> float:
    return float(more_came[(levels / 15).astype(int).clip(0, 17)].mean())


def _gradients(levels: Levels) -> tuple[Levels, Levels]:
    return np.asarray(cv2.Sobel(levels, cv2.CV_32F, 1, 0)), np.asarray(cv2.Sobel(levels, cv2.CV_32F, 0, 1))


def _edge_ratio(spot: NDArray[np.bool_], before: tuple[Levels, Levels], after: tuple[Levels, Levels]) -> float:
    """Return how much more of an edge a spot's outline is afterwards than before."""
    mask = spot.astype(np.uint8)
    soft = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 1.0)
    across, down = _gradients(np.asarray(soft, np.float32))
    outline = cv2.dilate(mask, _SQUARE) > cv2.erode(mask, _SQUARE)
    x, y = across[outline], down[outline]
    weight = float(np.hypot(x, y).sum()) + 1e-6
    strength = [
        float(np.abs(right[outline] * x + down_[outline] * y).sum()) / weight for right, down_ in (before, after)
    ]
    return float(np.log((strength[1] + _EDGE) / (strength[0] + _EDGE)))


def _wider(inwards: Sequence[Tip], outwards: Sequence[Tip]) -> float:
    more = both = 0.0
    for tip in inwards:
        alike = [(np.exp(-(((tip.depth - other.depth) / _NEAR) ** 2)), other.area) for other in outwards]
        weight = sum(near for near, _ in alike)
        if weight > 0.3:
            other = sum(near * area for near, area in alike) / weight
            more += tip.area - other
            both += tip.area + other
    return float(more / both) if both else 0.0
