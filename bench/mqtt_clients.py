"""Which MQTT client for the store's agent? Each receives QoS 1 messages of 200 bytes from the same publisher.

    scripts/bench mqtt-clients [--rounds 3] [--json]

Libraries that are not installed are left out; `pip install gmqtt awscrt` beside the project adds them.
"""

import argparse
import asyncio
import importlib.util
import json
import statistics
import subprocess
import sys
import time

from bench import raw_mqtt
from bench.broker import broker

CONNECTIONS, SIZE = 50, 200
CANDIDATES = ("raw", "link.asyncio_mqtt", "link.mqtt (paho)", "gmqtt", "awscrt")
_LIBRARY = {"gmqtt": "gmqtt", "awscrt": "awscrt"}


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="scripts/bench mqtt-clients", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--messages", type=int, default=30_000)
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    parser.add_argument("--listen", help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.listen:
        listen(options.listen, options.port, options.messages)
        return 0
    found = measure(options.rounds, options.messages)
    print(f"{'client':<20} {'messages/s':>10} {'of raw':>7} {'CPU us/message':>15}")
    for name, figures in found.items():
        print(f"{name:<20} {figures['per_s']:>10.0f} {figures['ratio']:>7.2f} {figures['cpu_us']:>15.1f}")
    if options.json:
        print(json.dumps({"bench": "mqtt-clients", "clients": found}))
    return 0


def measure(rounds: int, messages: int) -> dict[str, dict[str, float]]:
    """Return the medians of interleaved rounds per client."""
    names = [name for name in CANDIDATES if name not in _LIBRARY or importlib.util.find_spec(_LIBRARY[name])]
    results: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for number in range(rounds):
        for name in names:
            with broker() as running:
                results[name].append(_round(name, running.port, messages))
            print(f"round {number + 1}: {name} {results[name][-1]['per_s']:.0f}/s", file=sys.stderr)
    raw = statistics.median(result["per_s"] for result in results["raw"])
    return {
        name: {
            "per_s": statistics.median(result["per_s"] for result in found),
            "cpu_us": statistics.median(result["cpu_us"] for result in found),
            "ratio": statistics.median(result["per_s"] for result in found) / raw,
        }
        for name, found in results.items()
    }


def _round(name: str, port: int, messages: int) -> dict[str, float]:
    messages -= messages % CONNECTIONS
    ours = [sys.executable, "-m", "bench", "mqtt-clients", "--listen", name]
    ours += ["--port", str(port), "--messages", str(messages)]
    with subprocess.Popen(ours, stdout=subprocess.PIPE, text=True) as listening:
        assert listening.stdout is not None
        assert listening.stdout.readline().strip() == "ready"
        publishing = subprocess.run(
            [sys.executable, "-m", "bench.raw_mqtt", "publish", "--port", str(port), "--messages", str(messages),
             "--connections", str(CONNECTIONS)],
            input=(b"x" * SIZE).hex(), capture_output=True, text=True, check=True,
        )  # fmt: skip
        heard = json.loads(listening.stdout.readline())
    elapsed = heard["moment"] - json.loads(publishing.stdout)["moment"]
    return {"per_s": messages / elapsed, "cpu_us": heard["cpu_us"]}


# ── one client each, as a process of its own ─────────────────────────────────────────────────────────────────────


def listen(name: str, port: int, messages: int) -> None:
    """Receive `messages`, then print when the last came and the processor time of each."""
    before = raw_mqtt.cpu_s()
    match name:
        case "raw":
            moment = asyncio.run(raw_mqtt.listen(port, messages))
        case "gmqtt":
            moment = asyncio.run(_gmqtt(port, messages))
        case "awscrt":
            moment = _awscrt(port, messages)
        case _:
            moment = asyncio.run(_link(name, port, messages))
    print(json.dumps({"moment": moment, "cpu_us": (raw_mqtt.cpu_s() - before) / messages * 1e6}))


async def _link(name: str, port: int, messages: int) -> float:
    from cart_protocol.link.asyncio_mqtt import AsyncioMqttLink
    from cart_protocol.link.mqtt import MqttLink
    from cart_protocol.link.settings import MqttSettings

    made = AsyncioMqttLink if name == "link.asyncio_mqtt" else MqttLink
    link = made(MqttSettings(host="127.0.0.1", port=port, tls=None), client_id="agent", subscriptions=["bench/#"])
    await link.receive()
    print("ready", flush=True)
    taken = 0
    while taken < messages:
        await link.receive()
        taken += 1 + len(link.drain())
    moment = time.monotonic()
    await link.close()
    return moment


async def _gmqtt(port: int, messages: int) -> float:
    from gmqtt import Client

    client = Client("agent", clean_session=False, session_expiry_interval=3_600, receive_maximum=1_000)
    done: asyncio.Future[float] = asyncio.get_running_loop().create_future()
    subscribed = asyncio.Event()
    taken = 0

    def on_message(*_: object) -> int:
        nonlocal taken
        taken += 1
        if taken == messages:
            done.set_result(time.monotonic())
        return 0

    client.on_message = on_message
    client.on_subscribe = lambda *_: subscribed.set()
    await client.connect("127.0.0.1", port)
    client.subscribe("bench/#", qos=1)
    await subscribed.wait()
    print("ready", flush=True)
    moment = await done
    await client.disconnect()
    return moment


def _awscrt(port: int, messages: int) -> float:
    import threading

    from awscrt import mqtt5

    connected, done = threading.Event(), threading.Event()
    taken, moment = 0, 0.0

    def on_publish(_: object) -> None:
        nonlocal taken, moment
        taken += 1
        if taken == messages:
            moment = time.monotonic()
            done.set()

    client = mqtt5.Client(
        mqtt5.ClientOptions(
            host_name="127.0.0.1", port=port, on_publish_callback_fn=on_publish,
            connect_options=mqtt5.ConnectPacket(client_id="agent", receive_maximum=1_000),
            on_lifecycle_event_connection_success_fn=lambda _: connected.set(),
        )
    )  # fmt: skip
    client.start()
    connected.wait()
    filters = [mqtt5.Subscription(topic_filter="bench/#", qos=mqtt5.QoS.AT_LEAST_ONCE)]
    client.subscribe(mqtt5.SubscribePacket(subscriptions=filters)).result(10)
    print("ready", flush=True)
    done.wait()
    client.stop()
    return moment
