"""The benchmarks run, and what they send is what a cart would send. No figure is judged here."""

import json
import subprocess
from pathlib import Path

import pytest

from bench import carts, frame, ingest, mqtt_clients, raw_mqtt
from bench.agent import EPOCH
from cart_protocol.basket import Basket, evolve
from cart_protocol.codec import decode
from cart_protocol.link import Received, packets
from cart_protocol.link.packets import PacketReader, Publish
from cart_protocol.messages import Events

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("batch", [1, 16])
def test_carts_send_events_that_a_store_can_read_and_that_leave_an_empty_basket(batch: int) -> None:
    basket, seq = Basket(), 2
    for pieces in carts.stencils(batch):
        payload = pieces[0]
        for piece in pieces[1:]:
            seq += 1
            payload += b"%d" % seq + piece
        message = decode(payload).message
        assert isinstance(message, Events)
        assert message.epoch == EPOCH
        assert [recorded.seq for recorded in message.events] == list(range(seq - batch + 1, seq + 1))
        for recorded in message.events:
            evolve(basket, recorded.event)
    assert (basket.lines, basket.pending) == ({}, {})


def test_the_raw_publisher_and_our_own_packets_understand_each_other() -> None:
    payloads = [b"", b"x" * 130, b"y" * 20_000]
    sent = b"".join(raw_mqtt.Stencil("a/b", len(payload)).packet(7, payload) for payload in payloads)
    assert PacketReader().feed(sent) == [Publish(Received("a/b", payload), 7) for payload in payloads]
    ours = b"".join(packets.publish("a/b", payload, mid=7, retain=False, expiry_s=None) for payload in payloads)
    cut, found = raw_mqtt.Packets(), []
    for at in range(0, len(ours), 97):
        found += cut.feed(ours[at : at + 97])
    assert [body[8:] for _, body in found] == payloads


@pytest.mark.broker
def test_ingest_is_measured_against_raw_mosquitto_and_audited(tmp_path: Path) -> None:
    with ingest.databases(["sqlite"], tmp_path) as fresh:
        found = ingest.measure(fresh, [5], rounds=1, events=1_000, seconds=1.0)
    assert set(found["throughput"]["5"]) == {"raw", "sqlite", "sqlite, 16 a message"}
    assert found["ratios"]["5"]["sqlite"] > 0
    assert found["at_200_per_s"]["sqlite"]["events"] == 200
    ingest.show(found)


@pytest.mark.broker
def test_an_event_that_is_missing_from_the_journal_is_found(tmp_path: Path) -> None:
    with ingest.databases(["sqlite"], tmp_path) as fresh:
        address = fresh["sqlite"]()
        ingest.ours(address, 2, 100)
        with pytest.raises(RuntimeError, match="101 events were acknowledged; 100 are in the journal"):
            ingest._audit(address, 2, 101)


@pytest.mark.broker
def test_clients_are_compared_on_the_same_messages() -> None:
    found = mqtt_clients.measure(1, 1_000)
    assert {"raw", "link.asyncio_mqtt", "link.mqtt (paho)"} <= set(found)
    assert found["raw"]["ratio"] == 1.0


def test_the_reader_and_pyzbar_see_the_same_frames_of_every_scene() -> None:
    found = frame.measure(frames=14, seed=1)
    busy = {row["size"]: row for row in found["rows"] if row["scene"] == "busy"}
    assert min(row[who]["read"] for row in busy.values() for who in ("ours", "pyzbar")) > 0
    assert [row["ours"]["read"] + row["pyzbar"]["read"] for row in found["rows"] if row["scene"] != "busy"] == [0] * 4
    frame.show(found)


def test_an_unknown_benchmark_is_answered_with_those_there_are() -> None:
    asked = subprocess.run([ROOT / "scripts" / "bench", "speed"], capture_output=True, text=True, check=False)
    assert (asked.returncode, "mqtt-clients,ingest" in asked.stderr) == (2, True)


def test_figures_can_be_had_as_json() -> None:
    assert json.loads(json.dumps(ingest._median([{"per_s": 1.0}, {"per_s": 3.0}, {"per_s": 2.0}]))) == {"per_s": 2.0}
