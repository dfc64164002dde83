"""Barcodes in labelled photographs."""

from collections.abc import Sequence


def main(arguments: Sequence[str]) -> int:
    raise NotImplementedError(arguments)
