"""Pictures of products as files of a shop: named by the product's number, small enough for every cart to keep.

4006381333931.webp      EAN, UPC or GTIN
09520101000019_C1N1.png what follows '_' is the trade's own note (GS1 Product Image Specification), not read
00042.jpg               the shop's own five digits
"""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import cv2
import msgspec
import numpy as np

from cart_protocol.gs1.check_digit import Gs1Error
from cart_protocol.gs1.gtin import gtin_of
from cart_protocol.gs1.restricted import plu
from cart_protocol.ids import ProductId
from cart_protocol.product_picture import MOST_BYTES, media_type, name_of

_KINDS = {".webp": "image/webp", ".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg"}
_PLU_DIGITS = 5
_SIDE = 256
"""Pixels of a picture that is made; a tile of the cart's screen has 92 at most."""
_QUALITIES = (82, 60, 40, 20)
"""Of WebP, tried until a picture is small enough."""
_PHOTOGRAPHS = (*_KINDS, ".bmp", ".tif", ".tiff")


class Pictures(msgspec.Struct, frozen=True):
    """What a folder holds: name of each product's picture, and content of each name."""

    names: Mapping[ProductId, str]
    contents: Mapping[str, bytes]


class PictureFileError(ValueError):
    """A file or folder that cannot be used; the text says what to do."""


def read_pictures(folder: Path, products: Collection[ProductId]) -> Pictures:
    """Return the pictures of these products; files of other products and of other kinds are left alone.

    Raises:
        PictureFileError: there is no such folder, or what is wrong with each file of these products, a line each.
    """
    if not folder.is_dir():
        raise PictureFileError(f"{folder} is no folder; make it, or take out `pictures`")
    names, contents, problems = dict[ProductId, str](), dict[str, bytes](), list[str]()
    for path in sorted(folder.iterdir()):
        product = _product_of(path) if path.suffix.lower() in _KINDS else None
        if product is None or product not in products:
            continue
        try:
            content = _checked(path, known=product in names)
        except PictureFileError as error:
            problems.append(str(error))
            continue
        names[product] = name_of(content)
        contents[names[product]] = content
    if problems:
        raise PictureFileError("\n".join(problems))
    return Pictures(names, contents)


def shrink(source: Path, target: Path) -> Iterator[Path]:
    """Make a picture for the carts of each photograph in a folder, and yield its file; a file of that name is replaced.

    A picture is 256 x 256 pixels with the whole photograph on white.

    Raises:
        PictureFileError: a file is no photograph, or there is none.
    """
    photographs = sorted(path for path in source.glob("*") if path.suffix.lower() in _PHOTOGRAPHS)
    if not photographs:
        raise PictureFileError(f"{source}: no photographs ({', '.join(_PHOTOGRAPHS)}) in it; name their folder")
    target.mkdir(parents=True, exist_ok=True)
    for path in photographs:
        pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        if pixels is None:
            raise PictureFileError(f"{path}: no picture that can be read; replace it, or take it out of the folder")
        made = target / f"{path.stem}.webp"
        made.write_bytes(_small(_on_white(np.asarray(pixels))))
        yield made


def _product_of(path: Path) -> ProductId | None:
    number = path.stem.partition("_")[0]
    if not number.isascii() or not number.isdigit():
        return None
    if len(number) == _PLU_DIGITS:
        return plu(number)
    try:
        return ProductId(gtin_of(number))
    except Gs1Error:
        return None


def _checked(path: Path, *, known: bool) -> bytes:
    if known:
        raise PictureFileError(f"{path}: a second picture of this product; keep one of them")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise PictureFileError(f"{path}: cannot be read ({error.strerror}); mend or remove it") from error
    if len(content) > MOST_BYTES:
        raise PictureFileError(
            f"{path}: {len(content)} bytes, at most {MOST_BYTES}; 'edge-agent shrink-pictures' makes it smaller"
        )
    if media_type(content) != _KINDS[path.suffix.lower()]:
        raise PictureFileError(f"{path}: is no {_KINDS[path.suffix.lower()]} within; save it as what its name says")
    return content


def _on_white(pixels: np.ndarray) -> np.ndarray:
    """Return a square of _SIDE, BGR, with the whole picture in its middle, transparent parts white."""
    if pixels.dtype == np.uint16:
        pixels = (pixels >> 8).astype(np.uint8)
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[:, :, None], 3, axis=2)
    if pixels.shape[2] == 4:
        opaque = pixels[:, :, 3:].astype(np.float32) / 255
        pixels = (pixels[:, :, :3] * opaque + 255 * (1 - opaque)).round().astype(np.uint8)
    height, width = pixels.shape[:2]
    scale = _SIDE / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    inner = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    square = np.full((_SIDE, _SIDE, 3), 255, np.uint8)
    left, top = (_SIDE - size[0]) // 2, (_SIDE - size[1]) // 2
    square[top : top + size[1], left : left + size[0]] = inner
    return square


def _small(pixels: np.ndarray) -> bytes:
    for quality in _QUALITIES:
        content = cv2.imencode(".webp", pixels, [cv2.IMWRITE_WEBP_QUALITY, quality])[1].tobytes()
        if len(content) <= MOST_BYTES:
            break
    return content
