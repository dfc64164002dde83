"""Any value of any of our wire types, for property tests: made from the types themselves, so that none is forgotten."""

from typing import Any, get_args

import msgspec
from hypothesis import strategies as st
from msgspec import inspect

_GREATEST = (1 << 63) - 1


def values_of(kind: object) -> st.SearchStrategy[Any]:
    """Return a strategy for every value that `kind`, an annotation of a message field, can have."""
    return _values(inspect.type_info(kind))


def members_of(union: object) -> tuple[type[msgspec.Struct], ...]:
    """Return the struct types of a union, nested unions opened."""
    found: tuple[type[msgspec.Struct], ...] = ()
    for member in get_args(union):
        found += members_of(member) if get_args(member) else (member,)
    return found


def _values(info: inspect.Type) -> st.SearchStrategy[Any]:  # noqa: PLR0911 - one return per kind of type
    match info:
        case inspect.Metadata(type=inner):
            return _values(inner)
        case inspect.NoneType():
            return st.none()
        case inspect.BoolType():
            return st.booleans()
        case inspect.IntType(ge=least, le=most):
            return st.integers(-_GREATEST if least is None else least, _GREATEST if most is None else most)
        case inspect.StrType():
            return st.text(max_size=20)
        case inspect.BytesType():
            return st.binary(max_size=20)
        case inspect.EnumType(cls=cls):
            return st.sampled_from(list(cls))
        case inspect.StructType(cls=cls, fields=fields):
            return st.builds(cls, **{field.name: _values(field.type) for field in fields if field.name != "v"})
        case inspect.UnionType(types=types):
            return st.one_of([_values(member) for member in types])
        case inspect.VarTupleType(item_type=item):
            return st.lists(_values(item), max_size=4).map(tuple)
        case inspect.DictType(key_type=key, value_type=value):
            return st.dictionaries(_values(key), _values(value), max_size=3)
    raise NotImplementedError(f"teach tests/strategies.py about {info}")
