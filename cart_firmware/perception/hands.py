"""Hands over the rim of the cart: when something went in or out, which way, and its sharpest pictures.

Works on a reduced picture. What differs from the backdrop and reaches from the rim inwards opens a visit; when the rim
is free again and the inside is still, the visit is judged by what it left (see remains). A jump of the light, goods
that roll about and a floor that goes by do not reach inwards from the rim; what stays inside becomes part of the
backdrop.
"""

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from cart_firmware.core.decision import Way
from cart_firmware.perception.backdrop import Backdrop, Levels, View
from cart_firmware.perception.colour import Planes
from cart_firmware.perception.crops import Crop, Crops, square
from cart_firmware.perception.flow import flow
from cart_firmware.perception.reading import Picture
from cart_firmware.perception.remains import Remains, remains
from cart_firmware.perception.rim import Rim
from cart_firmware.perception.visit import LEAST_BLOB, NO_TIP, Moment, Visit, foremost_of, tip_in
from cart_firmware.perception.ways import told

WIDTH = 160
"""Of the reduced picture; its height follows the frame's."""
_ROOTED, _ENTERS = 4.0, 8.0
"""Pixels of depth: what begins before the one and reaches beyond the other is over the rim (5 % of the width) ..."""
_OUTSIDE = (-9.0, -2.0)
"""... if it goes on outside: between these depths. The rim itself lies before them; a sleeve may be of its grey."""
_LEAST_OUTSIDE = 8
_LEAST_ARM = 40
"""Pixels of what is over the rim: a child's fingers."""
_AT_RIM = (-8.0, 24.0)
"""Depths between which corners are followed."""
_JUMP = 0.1
"""Share by which light changes between two pictures when nobody's hand does it."""
_RUN_UP_US = 600_000
_FREE_US = 130_000
_CALM_US = 130_000
_IMPATIENT_US = 1_200_000
"""So long after the rim is free the inside is looked at though something still moves in it."""
_LEFT_LYING_US = 3_000_000
"""What hangs over the rim and does not move for so long is no hand: a bag, a coat."""
_LONGEST_US = 12_000_000
_SETTLED_US = 700_000
"""What came without a hand (goods that rolled) and is still for so long belongs to the backdrop."""
_MOST_CHANGED = 0.6
"""Share of the inside that goods can change; where more did, it was the camera that moved."""
_STIRS = 6
"""Pixels of the inside that change from picture to picture when something moves."""
_LAST = 4
"""Pictures at most whose mean is the inside afterwards."""
_SQUARE = np.ones((3, 3), np.uint8)
_JOINED = np.ones((5, 5), np.uint8)
"""Parts of a sleeve whose grey is here and there that of what is behind it are one arm."""


class Passage(msgspec.Struct, frozen=True, kw_only=True):
    """Something came over the rim and is gone again."""

    from_us: int
    until_us: int
    way: Way
    """UNSEEN where it is not certain, or nothing was seen to have changed."""
    confidence: float
    """The posterior of what is most likely, which is `way` where it is enough to say it."""
    found: Remains
    """What that was concluded from."""
    crops: tuple[Crop, ...] = ()
    put: Crop | None = None
    """What lies now where the inside changed most: the goods, if they were put in ..."""
    taken: Crop | None = None
    """... and what lay there before: the goods, if they were taken out."""


class Frame(msgspec.Struct, frozen=True):
    """The whole view, in full resolution: a copy."""

    at_us: int
    luma: Picture
    planes: Planes | None


class Hands:
    """Watches one camera.

    Args:
        rim: where hands come in.
    """

    def __init__(self, rim: Rim) -> None:
        self._rim = rim
        self._backdrop = Backdrop()
        self._shape: tuple[int, int] | None = None
        self._lately = list[Moment]()
        self._visit: Visit | None = None
        self._crops = Crops()
        self._clean: Frame | None = None
        """The last of which nothing was over the rim."""
        self._before: Picture | None = None
        self._differed: Picture = np.zeros((0, 0), np.uint8)
        self._began_us = 0
        self._free_us: int | None = None
        self._calm_us: int | None = None

    def see(self, at_us: int, luma: Picture, planes: Planes | None = None) -> Passage | None:
        """Take the next frame, with its colours where there are any; return a passage when one is over.

        Raises:
            ValueError: the frame is no picture of height x width bytes.
        """
        if luma.ndim != 2 or luma.dtype != np.uint8:
            raise ValueError(f"a frame of {luma.dtype} {luma.shape}; expected uint8 of (height, width): see the camera")
        size = WIDTH, max(1, round(luma.shape[0] * WIDTH / luma.shape[1]))
        if self._shape != luma.shape:
            self._begin(luma.shape, *size)
        view = self._backdrop.look(_reduced(luma, size))
        inside = np.asarray(cv2.bitwise_and(view.differs, self._inside), np.uint8)
        moves = self._moves(view.picture)
        self._calm_us = self._calm_us or at_us if cv2.countNonZero(moves) < _STIRS else None
        # What is thrown in may be outside in one picture and inside in the next.
        arm = self._over_rim(np.asarray(cv2.bitwise_or(view.differs, self._differed), np.uint8), inside)
        self._differed = view.differs
        passage = None
        if self._visit:
            if cv2.countNonZero(moves):
                marked = np.asarray(cv2.bitwise_and(inside, cv2.dilate(moves, _SQUARE)), np.uint8)
                self._crops.offer(at_us, luma, marked, planes)
            passage = self._visited(self._visit, at_us, view, inside, stirs=bool(cv2.countNonZero(moves)), arm=arm)
            if passage and passage.found.area:
                passage = self._with_goods(passage, Frame(at_us, luma, planes))
        else:
            self._idle(at_us, view, inside, arm=arm)
            if not cv2.countNonZero(inside):
                self._clean = Frame(at_us, luma.copy(), None if planes is None else planes.copy())
        self._before = view.picture
        return passage

    def _begin(self, shape: tuple[int, ...], width: int, height: int) -> None:
        """Forget everything: another camera, or another size of frames."""
        self._shape = shape[0], shape[1]
        self._depth = self._rim.depth(width, height)
        self._inward = self._rim.inward(width, height)
        self._inside = np.asarray((self._depth > 0) * np.uint8(255))
        self._along = self._rim.along(width, height)
        self._outside = (self._depth > _OUTSIDE[0]) & (self._depth < _OUTSIDE[1])
        self._at_rim = np.asarray(((self._depth > _AT_RIM[0]) & (self._depth < _AT_RIM[1])) * np.uint8(255))
        self._backdrop, self._visit, self._before, self._clean = Backdrop(), None, None, None
        self._differed = np.zeros((height, width), np.uint8)
        self._lately.clear()

    # ── nothing over the rim ──

    def _idle(self, at_us: int, view: View, inside: Picture, *, arm: bool) -> None:
        self._note(at_us, view, inside)
        if arm and view.light_changed < _JUMP:
            self._visit = Visit(self._backdrop.levels.copy(), self._backdrop.limit.copy(), self._depth, self._lately)
            self._lately = []
            self._crops, self._began_us, self._free_us = Crops(), at_us, None
            return
        self._backdrop.follow(view)
        if self._calm_us is not None and at_us - self._calm_us >= _SETTLED_US and cv2.countNonZero(inside):
            self._backdrop.replace(view.picture.astype(np.float32))

    def _note(self, at_us: int, view: View, inside: Picture) -> None:
        tip = tip_in(view.picture, inside, self._depth) if cv2.countNonZero(inside) >= LEAST_BLOB else NO_TIP
        self._lately = [moment for moment in self._lately if at_us - moment.at_us <= _RUN_UP_US]
        self._lately.append(Moment(at_us, view.picture, tip))

    # ── something over the rim ──

    def _visited(
        self, visit: Visit, at_us: int, view: View, inside: Picture, *, stirs: bool, arm: bool
    ) -> Passage | None:
        inward = 0.0
        if stirs:
            went = flow(
                self._before if self._before is not None else view.picture,
                view.picture,
                np.asarray(cv2.bitwise_and(view.differs, self._at_rim), np.uint8),
            )
            inward = went.right * self._inward[0] + went.down * self._inward[1]
        visit.add(Moment(at_us, view.picture, tip_in(view.picture, inside, self._depth), inward))
        self._free_us = None if arm else self._free_us or at_us
        return self._over(visit, at_us) if self._is_over(at_us) else None

    def _is_over(self, at_us: int) -> bool:
        free = 0 if self._free_us is None else at_us - self._free_us
        calm = 0 if self._calm_us is None else at_us - self._calm_us
        return (
            (free >= _FREE_US and calm >= _CALM_US)
            or free >= _IMPATIENT_US
            or calm >= _LEFT_LYING_US
            or at_us - self._began_us >= _LONGEST_US
        )

    def _over(self, visit: Visit, at_us: int) -> Passage:
        free_us = self._free_us or at_us
        free = [moment.picture for moment in visit.moments[-_LAST:] if moment.at_us >= free_us]
        after: Levels = np.mean(free or [visit.moments[-1].picture], axis=0, dtype=np.float32)
        found = remains(visit, after)
        camera_moved = found.area > _MOST_CHANGED * cv2.countNonZero(self._inside)
        way, confidence = told(found) if self._free_us and not camera_moved else (Way.UNSEEN, 0.0)
        self._backdrop.replace(after)
        self._visit = None
        return Passage(
            from_us=self._began_us, until_us=free_us, way=way, confidence=confidence,
            found=found, crops=self._crops.best(),
        )  # fmt: skip

    def _with_goods(self, passage: Passage, now: Frame) -> Passage:
        """Cut out where the inside changed most, before and after."""
        box, reduced = passage.found.box, self._depth.shape
        put = square(now.at_us, now.luma, now.planes, box, reduced)
        then = self._clean
        taken = square(then.at_us, then.luma, then.planes, box, reduced) if then else None
        return msgspec.structs.replace(passage, put=put, taken=taken)

    # ── what moves ──

    def _over_rim(self, differs: Picture, inside: Picture) -> bool:
        """Return whether something reaches inwards over the rim."""
        if cv2.countNonZero(inside) < _LEAST_ARM:
            return False
        joined = cv2.morphologyEx(inside, cv2.MORPH_CLOSE, _JOINED)
        count, labels, stats, _ = cv2.connectedComponentsWithStats(joined)
        for number in range(1, count):
            if stats[number, cv2.CC_STAT_AREA] >= _LEAST_ARM and self._is_arm(labels == number, differs):
                return True
        return False

    def _is_arm(self, blob: NDArray[np.bool_], differs: Picture) -> bool:
        depths = self._depth[blob]
        if depths.min() >= _ROOTED or foremost_of(depths) < _ENTERS:
            return False
        root = self._along[blob & (self._depth < _ROOTED)]
        beside = (self._along >= root.min() - _ROOTED) & (self._along <= root.max() + _ROOTED)
        return int(np.count_nonzero(differs[self._outside & beside])) >= _LEAST_OUTSIDE

    def _moves(self, picture: Picture) -> Picture:
        """Return where the inside changed since the picture before."""
        if self._before is None:
            return self._inside
        moved = cv2.compare(cv2.absdiff(picture, self._before), self._backdrop.limit, cv2.CMP_GT)
        return np.asarray(cv2.bitwise_and(moved, self._inside), np.uint8)


def _reduced(luma: Picture, size: tuple[int, int]) -> Picture:
    """Return the mean of the pixels under each. Halving has a fast path in OpenCV, 18 times faster than one step."""
    while luma.shape[1] >= 2 * size[0] and luma.shape[1] % 2 == luma.shape[0] % 2 == 0:
        luma = np.asarray(cv2.resize(luma, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), np.uint8)
    return np.asarray(cv2.resize(luma, size, interpolation=cv2.INTER_AREA), np.uint8)
