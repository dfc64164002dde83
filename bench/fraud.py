"""What the fusion core makes of frauds and of the honest things that look like them, at the level of settled steps.

    scripts/bench fraud [--actions 20000] [--trials 2000] [--seed 5] [--json]

Two parts. **Frauds**: each kind of reference/features, section 4.5, that a cart could see, again and again in carts
with other goods, and after each an honest action that looks like it. A fraud is caught when a question stays open on
the screen or the goods are on the bill; an honest action is accused when a question stays open after the shopper has
answered the tiles rightly. What weight cannot see is listed with its figure, and nothing is claimed of it. **Honest
trips**: actions of shoppers who scan, put in, take out, put back, lean and count, for wrong changes of the basket and
questions per action.

Products, their spread (Directive 76/211/EEC, as bench products of the reference's exit simulations) and the noise of
a step are drawn from the seed; the physics between hand and settled step is `scripts/bench trips`' business.
"""

import argparse
import json
import random
import sys
from typing import Any

import msgspec

from bench.frauds import ELSEWHERE, INVISIBLE, ROWS, Play
from bench.honest import honest_trips
from bench.trolley import Shop, filled

BARS = {"caught_pct": 95.0, "accused_pct": 1.0, "wrong_per_1000": 1.0, "prompts_per_20": 1.0}


def rate(play: Play, shop: Shop, dice: random.Random, trials: int) -> float:
    """Return the share of true answers among so many plays; one that the goods at hand do not allow is no play."""
    answers = list[bool]()
    while len(answers) < trials:
        found = play(*filled(shop, dice), dice)
        if found is not None:
            answers.append(found)
    return sum(answers) / len(answers)


def measure(seed: int, trials: int, actions: int) -> dict[str, Any]:
    dice = random.Random(seed)
    shop = Shop(dice)
    rows = [
        {
            "fraud": name,
            "caught_pct": 100 - 100 * rate(fraud, shop, dice, trials),
            "accused_pct": 100 * rate(honest, shop, dice, trials) if honest else None,
        }
        for name, fraud, honest in ROWS
    ]
    unseen = [
        {"fraud": name, "caught_pct": 100 - 100 * rate(fraud, shop, dice, max(1, trials // 2))}
        for name, fraud in INVISIBLE
    ]
    trips = honest_trips(shop, dice, actions)
    return {"rows": rows, "invisible": unseen, "trips": msgspec.to_builtins(trips)}


def show(found: dict[str, Any]) -> None:
    print(f"{'fraud that weight can see':<48}{'caught %':>10}{'look-alike accused %':>22}")
    for row in found["rows"]:
        accused = "-" if row["accused_pct"] is None else f"{row['accused_pct']:.2f}"
        print(f"{row['fraud']:<48}{row['caught_pct']:>10.2f}{accused:>22}")
    print(f"\n{'fraud that weight cannot see':<48}{'caught %':>10}")
    for row in found["invisible"]:
        print(f"{row['fraud']:<48}{row['caught_pct']:>10.2f}")
    print(f"not here: {ELSEWHERE}")
    trips = found["trips"]
    count = trips["actions"]
    print(
        f"\nhonest trips: {count} actions, {1_000 * trips['wrong'] / count:.2f} wrong changes per 1,000, "
        f"{20 * trips['prompts'] / count:.2f} questions per 20, {1_000 * trips['unresolved'] / count:.2f} per 1,000 "
        "left to staff"
    )
    for name, (count, prompts, wrong, left) in trips["kinds"].items():
        print(f"  {name:<24}{count:>7}  asked {100 * prompts / count:6.2f} %  wrong {wrong:>4}  to staff {left:>4}")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="scripts/bench fraud", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=2_000, help="of each fraud and each look-alike")
    parser.add_argument("--actions", type=int, default=20_000, help="of honest shoppers")
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    options = parser.parse_args(arguments)
    found = measure(options.seed, options.trials, options.actions)
    show(found)
    if options.json:
        print(json.dumps({"bench": "fraud", "seed": options.seed, "bars": BARS} | found))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
