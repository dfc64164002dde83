"""scripts/bench NAME: benchmarks as ratios against a reference measured in the same run."""

import importlib
import sys

BENCHMARKS = {
    "mqtt-clients": "bench.mqtt_clients",
    "ingest": "bench.ingest",
    "load-cells": "bench.load_cells",
    "frame": "bench.frame",
    "trips": "bench.trips",
    "fraud": "bench.fraud",
    "replay": "bench.replay",
    "cart": "bench.cart",
    "hands": "bench.hands",
    "sight": "bench.sight",
}


def main() -> int:
    if len(sys.argv) < 2 or sys.argv[1] not in BENCHMARKS:
        print(f"usage: scripts/bench {{{','.join(BENCHMARKS)}}} [--json] [--help]", file=sys.stderr)
        return 2
    name = sys.argv[1]
    return int(importlib.import_module(BENCHMARKS[name]).main(sys.argv[2:]))


if __name__ == "__main__":
    sys.exit(main())
