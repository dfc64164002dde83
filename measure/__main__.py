"""scripts/measure KIND FILE: runs the project on cases that others made, and says where it disagrees."""

import importlib
import sys

KINDS: dict[str, str] = {
    "barcode": "measure.barcode",
    "gs1": "measure.gs1",
    "produce": "measure.produce",
    "calibration": "measure.calibration",
    "painted": "measure.painted",
}
"""Kind to the module whose `main(arguments)` measures it and returns the exit status."""


def main() -> int:
    if len(sys.argv) < 2 or sys.argv[1] not in KINDS:
        print(f"usage: scripts/measure {{{','.join(KINDS)}}} FILE [--json] [--help]", file=sys.stderr)
        return 2
    return int(importlib.import_module(KINDS[sys.argv[1]]).main(sys.argv[2:]))


if __name__ == "__main__":
    sys.exit(main())
