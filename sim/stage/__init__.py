"""The stage: a whole shop in one process on a virtual clock. The same seed is the same day, to the last event.

The one package that imports both programs. Carts and store are the product's own objects, joined to chips, wires and
people of the simulator where the live shop has processes, sockets and ptys. SQLite is real, on a disk that can fail
(`sim.disk`); the air is `sim.wires.air`. `sim.stage.witness` checks after every step what must never happen.
"""
