"""What the test before a product goes live is worth: how many later mistakes it had named."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from cart_firmware.perception.knowledge import Knowledge
from cart_firmware.perception.self_test import learned
from cart_firmware.perception.taught import with_taught
from cart_protocol.ids import ProductId
from cart_protocol.sight import Taught, Verdict
from measure.novel_products import Shots

_MIXTURES = 100


def taught(knowledge: Knowledge, shown: Sequence[Shots], asked: Shots, shots: int) -> dict[str, Any]:
    """Return figures of teaching all goods, one after the other, to carts that know the shipped ones.

    A mistake is a shot that is taken for another product, shipped or taught; it was named where the test of either had
    said that the two need a tap.

    Returns:
        Shares in per cent: `safe`, `tap` and `scattered` of the goods; `mistaken` of the shots asked for, `named` of
        those mistakes, `unnamed` of the shots asked for; and `alike`, the number of look-alikes of a product.
    """
    verdicts, mistaken, named, look_alikes = Counter[str](), 0, 0, 0
    for draw, known_shots in enumerate(shown):
        alike, goods = dict[str, set[str]](), list[Taught]()
        for product in np.random.default_rng(draw).permutation(sorted(set(known_shots.products))):
            found = learned(ProductId(product), known_shots.of(product)[:shots], with_taught(knowledge, goods))
            verdicts[found.verdict] += 1
            alike[product] = set(found.taught.look_alikes)
            look_alikes += len(alike[product])
            goods.append(found.taught)
        index = with_taught(knowledge, goods).index
        best = np.array(index.names)[index.likeness(asked.vectors).argmax(axis=1)]
        wrong = [(mine, str(other)) for mine, other in zip(asked.products, best, strict=True) if mine != other]
        mistaken += len(wrong)
        named += sum(other in alike[mine] or mine in alike.get(other, ()) for mine, other in wrong)
    taught_in_all, asked_in_all = sum(verdicts.values()), len(shown) * len(asked.products)
    return {
        **{verdict.value: _percent(verdicts[verdict], taught_in_all) for verdict in Verdict},
        "mistaken": _percent(mistaken, asked_in_all),
        "named": _percent(named, mistaken),
        "unnamed": _percent(mistaken - named, asked_in_all),
        "alike": round(look_alikes / taught_in_all, 2),
    }


def mixed_up(knowledge: Knowledge, shown: Shots, products: int) -> float:
    """Return the share of lessons, in per cent, that are called scattered when five shots show so many products."""
    dice, names = np.random.default_rng(1), sorted(set(shown.products))
    found = 0
    for _ in range(_MIXTURES):
        chosen = dice.choice(names, products, replace=False)
        picked = [chosen[number % products] for number in range(5)]
        vectors = np.stack([shown.of(each)[dice.integers(len(shown.of(each)))] for each in picked])
        found += learned(ProductId("mixture"), vectors, knowledge).verdict is Verdict.SCATTERED
    return _percent(found, _MIXTURES)


def _percent(part: int, whole: int) -> float:
    return round(100 * part / whole, 1) if whole else 0.0
