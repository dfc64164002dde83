"""Goods as a cart's camera sees them lie, cut out as staff cut out pictures that carts are taught from."""

from collections.abc import Sequence
from pathlib import Path
from random import Random

import cv2
import numpy as np
from numpy.typing import NDArray

from sim.goods import Shelves
from sim.optics.contents import Contents
from sim.optics.scene import Scene, render, render_colours

Picture = NDArray[np.uint8]
"""Height x width x 3, BGR."""

_WIDTH, _HEIGHT = 640, 480
_AROUND = 1.15
"""Side of the cut, in lengths of what lies there."""


def lying(shelves: Shelves, product: str, dice: Random) -> Picture:
    """Return loose goods in an empty cart, as many as people take, in the middle of a square."""
    contents = Contents(dice)
    goods = next(each for each in shelves.loose if each.id == product)
    contents.put(shelves.take_loose(goods, dice), 0.0)
    scene, (thing,) = Scene(inside=contents.inside), contents.inside.things
    luma = render(scene, _WIDTH, _HEIGHT, np.random.default_rng(dice.randrange(1 << 30)))
    planes = np.ascontiguousarray(render_colours(scene, _WIDTH, _HEIGHT))
    whole = cv2.cvtColor(np.concatenate([luma.ravel(), planes.ravel()]).reshape(-1, _WIDTH), cv2.COLOR_YUV2BGR_I420)
    side = min(_HEIGHT, round(_AROUND * thing.length * _WIDTH))
    left, top = (
        min(max(0, round(middle * _WIDTH - side / 2)), most - side)
        for middle, most in ((thing.x, _WIDTH), (thing.y, _HEIGHT))
    )
    return np.asarray(whole[top : top + side, left : left + side], np.uint8)


def write_shots(folder: Path, shelves: Shelves, products: Sequence[str], shots: int, seed: int) -> None:
    """Write so many pictures of each product, named by its number: what `cart-firmware enrol-all` reads."""
    folder.mkdir(parents=True, exist_ok=True)
    for product in products:
        for number in range(1, shots + 1):
            picture = lying(shelves, product, Random(f"{seed}/{product}/shown/{number}"))
            cv2.imwrite(str(folder / f"{product.removeprefix('plu:')}_{number}.png"), picture)
