"""The vectors of the GS1 syntax engine."""

from collections.abc import Sequence


def main(arguments: Sequence[str]) -> int:
    raise NotImplementedError(arguments)
