"""Errors whose text already says what was seen and what to do: a program ends with that text, not with a traceback."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

UNUSABLE = 2
"""Exit status when a program was given something that it cannot use."""


@contextmanager
def explained(program: str, errors: tuple[type[Exception], ...]) -> Iterator[None]:
    """End the program with the text of one of `errors`, also out of a task group; anything else comes through."""
    try:
        yield
    except* errors as group:
        for error in _leaves(group):
            sys.stderr.write(f"{program}: {error}\n")
        sys.exit(UNUSABLE)


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
