"""What a core object holds, as a tree of builtins that a file can keep, and back: weigher and scanner in a recording.

Structs are named in the tree and only those that the reader lists are made from it; an object (a window within a
weigher) is filled in place, so nothing in a file chooses what code runs.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from enum import Enum
from typing import Any

import msgspec

Tree = Any
"""Numbers, texts and bytes as they are; everything else as a list that begins with what it is."""
_PLAIN = (bool, int, float, str, bytes, type(None))


class OtherMemoryError(ValueError):
    """The tree was kept by a version whose object held other things; the text says which."""


def remembered(thing: object, *, without: Collection[str] = ()) -> Tree:
    """Return all attributes of `thing`, deeply, apart from those named `without` wherever they are.

    Raises:
        TypeError: an attribute is of a kind that cannot be kept.
    """
    return ["object", {name: _kept(value, without) for name, value in vars(thing).items() if name not in without}]


def remember(thing: object, tree: Tree, kinds: Collection[type], *, without: Collection[str] = ()) -> None:
    """Set the attributes of `thing`, as its constructor made it, to those in `tree`; Structs and enums are of `kinds`.

    Raises:
        OtherMemoryError: the tree holds other attributes than the object, or a kind that is not listed.
    """
    try:
        _fill(thing, tree, {kind.__name__: kind for kind in kinds}, without)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise OtherMemoryError(f"{type(thing).__name__} cannot take up what was kept: {error!r}") from error


def _kept(value: object, without: Collection[str]) -> Tree:
    def kept(values: Iterable[object]) -> list[Tree]:
        return [_kept(each, without) for each in values]

    match value:
        case Enum():
            tree: Tree = ["enum", type(value).__name__, value.value]
        case None | bool() | int() | float() | str() | bytes():
            tree = value
        case msgspec.Struct():
            fields = {name: _kept(getattr(value, name), without) for name in value.__struct_fields__}
            tree = ["struct", type(value).__name__, fields]
        case deque():
            tree = ["deque", value.maxlen, *kept(value)]
        case list() | tuple():
            tree = [type(value).__name__, *kept(value)]
        case dict():
            tree = ["dict", *map(kept, value.items())]
        case _ if hasattr(value, "__dict__"):
            tree = remembered(value, without=without)
        case _:
            raise TypeError(f"{type(value).__name__} cannot be kept in a recording; add it to core.remembered")
    return tree


def _fill(thing: object, tree: Tree, kinds: Mapping[str, type], without: Collection[str]) -> None:
    kept = tree[1]
    if other := sorted(set(kept) ^ (set(vars(thing)) - set(without))):
        raise OtherMemoryError(f"{type(thing).__name__} held other things then: {', '.join(other)}")
    for name, value in kept.items():
        if isinstance(value, list) and value[0] == "object":
            _fill(getattr(thing, name), value, kinds, without)
        else:
            setattr(thing, name, _made(value, kinds))


def _made(tree: Tree, kinds: Mapping[str, type]) -> object:
    if isinstance(tree, _PLAIN):
        return tree
    what, *rest = tree
    return _MAKE[what](rest, kinds)


def _struct(rest: list[Tree], kinds: Mapping[str, type]) -> object:
    name, fields = rest
    return kinds[name](**{key: _made(value, kinds) for key, value in fields.items()})


def _deque(rest: list[Tree], kinds: Mapping[str, type]) -> object:
    longest, *held = rest
    return deque((_made(each, kinds) for each in held), maxlen=longest)


_MAKE: dict[str, Callable[[list[Tree], Mapping[str, type]], object]] = {
    "enum": lambda rest, kinds: kinds[rest[0]](rest[1]),
    "struct": _struct,
    "deque": _deque,
    "list": lambda rest, kinds: [_made(each, kinds) for each in rest],
    "tuple": lambda rest, kinds: tuple(_made(each, kinds) for each in rest),
    "dict": lambda rest, kinds: {_made(key, kinds): _made(held, kinds) for key, held in rest},
}
