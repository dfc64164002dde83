"""One picture of all that was named wrong: each photograph beside one of the product it was taken for."""

from collections.abc import Sequence

import cv2
import numpy as np

from models.train.photographs import Photograph, Picture

_SIDE, _CAPTION, _COLUMNS = 160, 34, 4


def sheet(wrong: Sequence[tuple[Photograph, str, float]], examples: Sequence[Photograph]) -> Picture:
    """Return the sheet, BGR.

    Args:
        wrong: each photograph, what it was named, and with which probability.
        examples: photographs of what the names stand for.
    """
    shown = {one.product: one for one in examples}
    cells = [_cell(photograph, shown.get(said), said, share) for photograph, said, share in wrong]
    if not cells:
        return np.full((_CAPTION, 2 * _SIDE, 3), 255, np.uint8)
    cells += [np.full_like(cells[0], 255)] * (-len(cells) % _COLUMNS)
    rows = [np.hstack(cells[start : start + _COLUMNS]) for start in range(0, len(cells), _COLUMNS)]
    return np.asarray(np.vstack(rows), np.uint8)


def _cell(photograph: Photograph, example: Photograph | None, said: str, share: float) -> Picture:
    pair = np.hstack(
        [_square(photograph), np.full((_SIDE, _SIDE, 3), 255, np.uint8) if example is None else _square(example)]
    )
    cell = np.vstack([pair, np.full((_CAPTION, 2 * _SIDE, 3), 255, np.uint8)])
    for line, text in enumerate((f"is {photograph.product}", f"named {said} {share:.2f}")):
        place = (4, _SIDE + 13 + 14 * line)
        cv2.putText(cell, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.4, (0, 0, 0), 1, cv2.LINE_AA)
    return np.asarray(cell, np.uint8)


def _square(photograph: Photograph) -> Picture:
    picture = photograph.seen()
    height, width = picture.shape[:2]
    least = min(height, width)
    top, left = (height - least) // 2, (width - least) // 2
    return np.asarray(cv2.resize(picture[top : top + least, left : left + least], (_SIDE, _SIDE)), np.uint8)
