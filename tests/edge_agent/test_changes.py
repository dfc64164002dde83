"""Who is woken by what: a phone by its own shopper and cart, the console by everything, and nobody too late."""

import asyncio
from pathlib import Path

from cart_protocol.ids import ShopperId
from edge_agent.core.views import PhonePhase
from edge_agent.services.changes import Changes
from tests.edge_agent.shop_floor import ALICE, BOB, MILK, ShopFloor, play


async def woken(changes: Changes, revision: int, *concerning: str) -> bool:
    waiting = asyncio.create_task(changes.after(revision, concerning))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    done = waiting.done()
    waiting.cancel()
    await asyncio.wait({waiting})
    return done


async def test_a_change_wakes_whom_it_concerns_and_who_waits_for_anything() -> None:
    changes = Changes()
    seen = changes.revision
    waiting = {
        "mine": asyncio.create_task(changes.after(seen, ("alice", "c1"))),
        "other": asyncio.create_task(changes.after(seen, ("bob", "c2"))),
        "anything": asyncio.create_task(changes.after(seen)),
    }
    await asyncio.sleep(0)
    changes.bump(["c1"])
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert [name for name, task in waiting.items() if task.done()] == ["mine", "anything"]
    changes.bump()
    assert await waiting["other"] == changes.revision


async def test_what_happened_while_nobody_waited_is_not_missed() -> None:
    changes = Changes()
    seen = changes.revision
    changes.bump(["c1"])
    changes.bump(["c2"])
    assert await changes.after(seen, ("alice", "c1")) == changes.revision
    assert not await woken(changes, seen, "bob", "c3")
    assert not await woken(changes, changes.revision, "c1")
    changes.bump()
    assert await woken(changes, seen + 2, "bob", "c3")


async def test_who_stops_waiting_leaves_nothing_behind() -> None:
    changes = Changes()
    for _ in range(3):
        assert not await woken(changes, changes.revision, "alice", "c1")
        assert not await woken(changes, changes.revision)
    assert (changes._waiting, changes._everybody) == ({}, {})


def test_a_phone_hears_of_its_own_cart_and_binding_and_not_of_its_neighbours(tmp_path: Path) -> None:
    async def story(floor: ShopFloor) -> None:
        first, second = await floor.bound("c1", ALICE), await floor.bound("c2", BOB)
        counter, looks = floor.agent.counter, {ALICE: 0, BOB: 0}

        async def watch(shopper: ShopperId) -> None:
            seen = counter.phone(shopper).revision
            while True:
                seen = await counter.wait_for_change(seen, shopper)
                looks[shopper] += 1

        watching = [asyncio.create_task(watch(shopper)) for shopper in looks]
        await floor.quiet()
        first.put_in(MILK)
        await floor.quiet()
        assert (looks[ALICE] > 0, looks[BOB]) == (True, 0)
        second.put_in(MILK)
        await floor.quiet()
        assert looks[BOB] > 0
        before = dict(looks)
        await counter.freeze(ALICE)
        await floor.quiet()
        assert looks[ALICE] > before[ALICE]
        assert looks[BOB] == before[BOB]
        assert counter.phone(ALICE).phase is PhonePhase.TO_PAY
        for task in watching:
            task.cancel()

    play(tmp_path, story)
