"""What a visit left: how the basket differs afterwards, and what went in and came out at the tip of the arm.

Three things tell goods that were put down from goods that were taken up, and none knows what an arm looks like:

- Where the basket changed, the outline of the change is an edge in the picture that has the thing: afterwards, if it
  was put down; before, if it was taken up.
- In the other picture, what is on both sides of that outline goes on across it.
- The grey levels that are there afterwards went in at the arm's tip and did not come out again, if it was put down;
  those of before came out and had not gone in, if it was taken up.
"""

from collections.abc import Iterable, Sequence

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from cart_firmware.perception.backdrop import Levels
from cart_firmware.perception.visit import GREY_STEP, GREYS, Greys, Moment, Tip, Visit, differs_from, tip_in

Mask = NDArray[np.bool_]

_LEAST_CHANGE = 12
"""Pixels of the reduced picture."""
_LIMIT_SHARE = 0.8
"""Of the limit of a moving picture: before and after are means of several."""
_EDGE = 3.0
"""Grey levels per pixel below which an edge is noise."""
_FEW = 6.0
"""Pixels added to every count of greys, so that few say little."""
_ENTERED = 4.0
_TIP_OUTSIDE = 12.0
"""Pixels outside of the rim in which an arm's tip is looked at: what it holds reaches back over the rim."""
_MOST_TIPS = 24
"""Of each way: time is short, and more say no more."""
_ARRIVED = 0.4
"""Share of what changed that is covered when a hand is there."""
_SQUARE = np.ones((3, 3), np.uint8)
_NEAR = 6.0
"""Pixels of depth within which two tips are compared."""
_HAND_SAYS = 2.0
"""Weight of what was there while a hand was at it, beside logarithms."""
_LEAST_SHARE = 0.08
"""Of all that changed: smaller spots are not asked which way they went."""
_PATCH = (7, 7)
"""In which the greys of single pixels are averaged."""
_MOST, _LEAST = 0.85, 0.15
"""Shares of such patches beyond which they speak for goods put down, or taken up, beside others."""
_AROUND = 3
"""Pixels around a spot in which a hand is looked for."""
_TOUCHED = 8
"""Pixels of a spot and its surroundings that are neither as before nor as afterwards when a hand is at it."""
_FILM = 60
"""Of a long visit, so many pictures are asked what was there: time is short."""
_ACROSS = 2.0
"""Pixels to either side of an outline that are compared."""


class Remains(msgspec.Struct, frozen=True):
    """What was measured of a visit; logarithms of ratios, positive for put down, negative for taken up."""

    area: int
    """Pixels inside that changed; 0 is an empty hand, or goods that look like what they lie on."""
    edges: float = 0.0
    """Of the outlines of all that changed, by their area."""
    goes_on: float = 0.0
    """How much better what is within the outlines goes on outside of them before than afterwards."""
    there: float = 0.0
    """Whether, while a hand was at what changed, it was already as afterwards (1) or still as before (-1)."""
    brought: float = 0.0
    """Of the greys that are there now: how much more of them went in than came out."""
    fetched: float = 0.0
    """Of the greys that were there before: the same, so negative where they came out."""
    most_put: float = 0.0
    most_taken: float = 0.0
    """All of these, added up, of the spot that speaks most for either."""
    patch_put: float = 0.0
    patch_taken: float = 0.0
    """Of the greys alone, those patches of what changed that speak most for either."""
    wider: float = 0.0
    """By which share the tip was larger on its way in than on its way out."""
    unlike: float = 0.0
    """How much the greys of the tip differ between both ways: 0 to 2."""
    inward: float = 0.0
    outward: float = 0.0
    """How far the corners at the rim went, in pixels."""
    pictures: int = 0
    """Of the arm on its way in, or on its way out, whichever are fewer."""
    box: tuple[int, int, int, int] = (0, 0, 0, 0)
    """Left, top, width and height of the largest spot that changed, in the reduced picture."""


def remains(visit: Visit, after: Levels) -> Remains:
    """Return what is left of a visit, given the inside as it was when nothing moved any more."""
    changed, spots = _changes(visit, after)
    if not spots:
        return Remains(0)
    entered = [moment for moment in visit.moments if moment.tip.area]
    inwards = _on_the_way(visit, entered, visit.before, changed)
    outwards = _on_the_way(visit, reversed(entered[len(inwards) :]), after, changed)
    came, went = _greys(inwards), _greys(outwards)
    more_came = np.log((came + _FEW) / (went + _FEW))
    areas = np.array([int(spot.sum()) for spot in spots], np.float64)
    outlines = [(*_outline(spot, visit.before, after), _there(spot, visit, after)) for spot in spots]
    told = [
        edge + on + _HAND_SAYS * there + _told(more_came, after[spot]) + _told(more_came, visit.before[spot])
        for (edge, on, there), spot, area in zip(outlines, spots, areas, strict=True)
        if area >= _LEAST_SHARE * areas.sum()
    ]
    patches = _patches(more_came, visit.before, after, changed)
    edges, goes_on, there = (np.array(outlines) * areas[:, None]).sum(axis=0) / areas.sum()
    travel = [moment.inward for moment in visit.moments]
    return Remains(
        area=int(areas.sum()),
        edges=float(edges),
        goes_on=float(goes_on),
        there=float(there),
        brought=_told(more_came, after[changed]),
        fetched=_told(more_came, visit.before[changed]),
        most_put=max(told, default=0.0),
        most_taken=min(told, default=0.0),
        patch_put=float(patches[int(_MOST * (patches.size - 1))]),
        patch_taken=float(patches[int(_LEAST * (patches.size - 1))]),
        wider=_wider(inwards, outwards),
        unlike=float(np.abs(came / (came.sum() + 1) - went / (went.sum() + 1)).sum()),
        inward=sum(step for step in travel if step > 0),
        outward=-sum(step for step in travel if step < 0),
        pictures=min(len(inwards), len(outwards)),
        box=_box(max(spots, key=np.count_nonzero)),
    )


def _changes(visit: Visit, after: Levels) -> tuple[Mask, list[Mask]]:
    """Return where the inside changed, and each spot of it that is large enough to be goods."""
    difference = np.abs(after - visit.before)
    differs = ((difference > _LIMIT_SHARE * visit.limit) & (visit.depth > 2)).astype(np.uint8)
    clean = cv2.morphologyEx(cv2.medianBlur(differs, 3), cv2.MORPH_CLOSE, _SQUARE)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(clean)
    spots = [labels == number for number in range(1, count) if stats[number, cv2.CC_STAT_AREA] >= _LEAST_CHANGE]
    return np.asarray(np.any(spots, axis=0), np.bool_) if spots else np.zeros(labels.shape, np.bool_), spots


def _box(spot: Mask) -> tuple[int, int, int, int]:
    left, top, width, height = cv2.boundingRect(spot.astype(np.uint8))
    return left, top, width, height


def _on_the_way(visit: Visit, moments: Iterable[Moment], backdrop: Levels, changed: Mask) -> list[Tip]:
    """Return the tips from the rim until the arm is where the basket changed; backwards in time it is the way out."""
    plain = np.asarray(cv2.convertScaleAbs(backdrop), np.uint8)
    tips = list[Tip]()
    for moment in moments:
        differs = differs_from(moment.picture, plain, visit.limit)
        differs[visit.depth <= -_TIP_OUTSIDE] = 0
        tip = tip_in(moment.picture, differs, visit.depth)
        if tip.depth >= _ENTERED:
            tips.append(tip)
            arrived = np.count_nonzero(differs[changed]) >= _ARRIVED * np.count_nonzero(changed)
            if arrived or len(tips) == _MOST_TIPS:
                break
    return tips


def _greys(tips: Sequence[Tip]) -> Greys:
    """Return the mean tip's greys, neighbouring ranges mixed: light on a turning thing varies."""
    if not tips:
        return np.zeros(GREYS, np.float32)
    mean = np.mean([tip.greys for tip in tips], axis=0)
    return np.convolve(mean, (0.25, 0.5, 0.25), "same").astype(np.float32)


def _told(more_came: Greys, levels: Levels) -> float:
    return float(_of(more_came, levels).mean())


def _of(more_came: Greys, levels: Levels) -> Levels:
    return np.asarray(more_came[(levels / GREY_STEP).astype(int).clip(0, GREYS - 1)])


def _patches(more_came: Greys, before: Levels, after: Levels, changed: Mask) -> Levels:
    """Return, in rising order, what the greys around each changed pixel say: parts of one spot may differ."""
    said = np.where(changed, _of(more_came, after) + _of(more_came, before), 0).astype(np.float32)
    share = cv2.boxFilter(changed.astype(np.float32), -1, _PATCH)
    return np.sort(cv2.boxFilter(said, -1, _PATCH)[changed] / share[changed])


def _outline(spot: Mask, before: Levels, after: Levels) -> tuple[float, float]:
    """Return how much more of an edge a spot's outline is afterwards, and how much better it goes on before."""
    mask = spot.astype(np.float32)
    soft = cv2.GaussianBlur(mask, (0, 0), 1.5)
    line = cv2.dilate(mask, _SQUARE) > cv2.erode(mask, _SQUARE)
    rows, columns = np.nonzero(line)
    x, y = (cv2.Sobel(soft, cv2.CV_32F, *way)[line] for way in ((1, 0), (0, 1)))
    far = _ACROSS / (np.hypot(x, y) + 1e-6)
    steps, likeness = [], []
    for levels in (before, after):
        inner = _at(levels, columns + far * x, rows + far * y)
        outer = _at(levels, columns - far * x, rows - far * y)
        steps.append(np.log(np.abs(inner - outer) + _EDGE * _ACROSS).mean())
        likeness.append(_likeness(inner, outer))
    return float(steps[1] - steps[0]), float(np.arctanh(likeness[0]) - np.arctanh(likeness[1]))


def _there(spot: Mask, visit: Visit, after: Levels) -> float:
    """Return whether a spot was as afterwards or as before while a hand was at it: 1 to -1, 0 where none was seen.

    A hand rests a moment on what it has put down before it lets go, and on what it takes before it lifts it.
    """
    rows, columns = np.nonzero(spot)
    part = np.s_[
        max(0, rows.min() - _AROUND) : rows.max() + _AROUND + 1,
        max(0, columns.min() - _AROUND) : columns.max() + _AROUND + 1,
    ]
    moments = visit.moments[:: len(visit.moments) // _FILM + 1]
    film = np.stack([moment.picture[part] for moment in moments]).astype(np.int16)
    limit = visit.limit[part]
    as_before = np.abs(film - visit.before[part].astype(np.int16)) <= limit
    as_after = np.abs(film - after[part].astype(np.int16)) <= limit
    hand = (~(as_before | as_after)).sum(axis=(1, 2)) >= _TOUCHED
    if not hand.any():
        return 0.0
    inner = spot[part]
    now = (as_after & ~as_before & inner)[hand].sum(axis=(1, 2), dtype=np.float64)
    then = (as_before & ~as_after & inner)[hand].sum(axis=(1, 2), dtype=np.float64)
    return float(((now - then) / (now + then + _FEW)).mean())


def _at(levels: Levels, x: NDArray[np.floating], y: NDArray[np.floating]) -> Levels:
    """Return the levels between pixels, at these places."""
    places = x.astype(np.float32), y.astype(np.float32)
    seen = cv2.remap(levels, *places, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(seen, np.float32).ravel()


def _likeness(one: Levels, other: Levels) -> float:
    """Return the correlation of both, drawn to nothing where there is little to compare."""
    one, other = one - one.mean(), other - other.mean()
    spread = np.sqrt(((one * one).mean() + 9) * ((other * other).mean() + 9))
    return float(np.clip((one * other).mean() / spread, -0.95, 0.95))


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
