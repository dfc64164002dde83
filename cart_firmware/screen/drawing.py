"""A picture of lines, boxes, words and photographs, once described and written as SVG or PNG.

OpenCV draws the PNG: it is here for the camera, and from version 5 it has outline fonts with Latin, Korean and Chinese
letters of its own, so that a cart without any installed font can draw.
"""

import base64
import html

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

Colour = str
"""Six hexadecimal digits, red first."""
Point = tuple[float, float]
_SCALE = 2
"""Pixels of the PNG for one unit: readable on a good screen and on paper."""
_FAMILY = "Rubik, 'DejaVu Sans', 'Noto Sans', sans-serif"
_REGULAR, _BOLD = 400, 600


class Line(msgspec.Struct, frozen=True):
    points: tuple[Point, ...]
    colour: Colour
    width: float = 1.0


class Box(msgspec.Struct, frozen=True):
    at: Point
    size: Point
    fill: Colour


class Dot(msgspec.Struct, frozen=True):
    at: Point
    radius: float
    fill: Colour


class Words(msgspec.Struct, frozen=True):
    """`at` is the left, middle or right end of the line that letters stand on, as `anchor` says."""

    at: Point
    text: str
    size: float = 12.0
    colour: Colour = "333333"
    bold: bool = False
    anchor: str = "start"


class Photograph(msgspec.Struct, frozen=True):
    """A JPEG, as large as it is drawn; `at` is its top left corner."""

    at: Point
    size: Point
    jpeg: bytes


Mark = Line | Box | Dot | Words | Photograph


class Drawing(msgspec.Struct, frozen=True):
    """Marks in the order in which they cover each other, in units of a ninety-sixth of an inch."""

    width: float
    height: float
    marks: tuple[Mark, ...]


def svg(drawing: Drawing) -> str:
    """Return a drawing as SVG 1.1 that needs nothing beside it."""
    width, height = f"{drawing.width:g}", f"{drawing.height:g}"
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="{width}" '
        f'height="{height}" viewBox="0 0 {width} {height}" font-family="{_FAMILY}">'
    )
    ground = f'<rect width="{width}" height="{height}" fill="#ffffff"/>'
    return "\n".join([head, ground, *map(_svg, drawing.marks), "</svg>", ""])


def png(drawing: Drawing) -> bytes:
    """Return a drawing as PNG, two pixels for a unit."""
    size = (round(drawing.height * _SCALE), round(drawing.width * _SCALE), 3)
    canvas = np.full(size, 255, np.uint8)
    for mark in drawing.marks:
        _paint(canvas, mark)
    return bytes(cv2.imencode(".png", canvas)[1])


def width_of(text: str, size: float, *, bold: bool = False) -> float:
    """Return how wide a text is in the PNG; other fonts of an SVG's reader are about as wide."""
    box = cv2.getTextSize((0, 0), text, (0, 0), _font(), round(size * _SCALE), _BOLD if bold else _REGULAR)
    return float(box[2]) / _SCALE


def _svg(mark: Mark) -> str:
    match mark:
        case Line(points, colour, width):
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
            return (
                f'<polyline points="{path}" fill="none" stroke="#{colour}" stroke-width="{width:g}" '
                'stroke-linejoin="round"/>'
            )
        case Box((x, y), (width, height), fill):
            return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="#{fill}"/>'
        case Dot((x, y), radius, fill):
            return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}" fill="#{fill}"/>'
        case Words((x, y), text, size, colour, bold, anchor):
            weight = f' font-weight="{_BOLD}"' if bold else ""
            return (
                f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:g}" fill="#{colour}" text-anchor="{anchor}"{weight}>'
                f"{html.escape(text)}</text>"
            )
        case Photograph((x, y), (width, height), jpeg):
            kept = base64.b64encode(jpeg).decode()
            return (
                f'<image x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" '
                f'xlink:href="data:image/jpeg;base64,{kept}"/>'
            )


def _paint(canvas: NDArray[np.uint8], mark: Mark) -> None:
    match mark:
        case Line(points, colour, width):
            # Sixteenths of a pixel, as OpenCV's `shift` has it.
            path = np.round(np.array(points) * _SCALE * 16).astype(np.int32)
            thick = max(1, round(width * _SCALE))
            cv2.polylines(canvas, [path], isClosed=False, color=_bgr(colour), thickness=thick, lineType=cv2.LINE_AA,
                          shift=4)  # fmt: skip
        case Box(at, size, fill):
            cv2.rectangle(canvas, _pixel(at), _pixel((at[0] + size[0], at[1] + size[1])), _bgr(fill), cv2.FILLED)
        case Dot(at, radius, fill):
            centre = (round(at[0] * _SCALE * 16), round(at[1] * _SCALE * 16))
            cv2.circle(canvas, centre, round(radius * _SCALE * 16), _bgr(fill), cv2.FILLED, cv2.LINE_AA, 4)
        case Words((x, y), text, size, colour, bold, anchor):
            shift = {"start": 0.0, "middle": 0.5, "end": 1.0}[anchor] * width_of(text, size, bold=bold)
            weight = _BOLD if bold else _REGULAR
            cv2.putText(canvas, text, _pixel((x - shift, y)), _bgr(colour), _font(), round(size * _SCALE), weight)
        case Photograph(at, size, jpeg):
            _paste(canvas, at, size, jpeg)


def _paste(canvas: NDArray[np.uint8], at: Point, size: Point, jpeg: bytes) -> None:
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    if picture is None:
        return  # a picture that is damaged leaves its place empty
    left, top = _pixel(at)
    width, height = round(size[0] * _SCALE), round(size[1] * _SCALE)
    room = canvas[top : top + height, left : left + width]
    room[:] = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)[: room.shape[0], : room.shape[1]]


def _pixel(point: Point) -> tuple[int, int]:
    return round(point[0] * _SCALE), round(point[1] * _SCALE)


def _bgr(colour: Colour) -> tuple[int, int, int]:
    return int(colour[4:6], 16), int(colour[2:4], 16), int(colour[:2], 16)


def _font() -> cv2.FontFace:
    return cv2.FontFace("sans")
