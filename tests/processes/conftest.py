"""A live shop for one module of tests: real processes, real broker, real time."""

import os
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from sim.live_shop import LiveShop
from tests.processes.visit import Visit

_SEED = 5
_PORTS = 20
_FIRST_PORT, _BLOCKS = 20_000, 600
"""Below the ports of outgoing connections (32768 and up); each test run has a block of its own."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop() -> AsyncIterator[LiveShop]:
    """A shop with one cart. Tests of a module share it, and leave it as they found it."""
    # Not tmp_path: the names of unix sockets are short (107 characters).
    with tempfile.TemporaryDirectory(prefix="shop-") as folder:
        opened = LiveShop(Path(folder), 1, _SEED, first_port=_FIRST_PORT + os.getpid() % _BLOCKS * _PORTS)
        try:
            await opened.open()
            yield opened
        finally:
            await opened.close()


@pytest_asyncio.fixture(loop_scope="module")
async def visit(shop: LiveShop) -> AsyncIterator[Visit]:
    """A shopper who has come in and has no cart yet."""
    shopper = Visit(shop)
    yield shopper
    await shopper.end()
