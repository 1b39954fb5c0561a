"""Machines that measure do nothing else, unless all do or they say so."""

from __future__ import annotations

import pytest

from autotune.cluster.address import parse_workers
from autotune.cluster.layout import COMPILE, Node, compile_seats, device_seats
from autotune.devices.connection import Clustered, parse_connection
from search_spaces.errors import Misuse

BUILDER = Node("b" * 16, "10.0.0.2", 16)
BOARD = Node("d" * 16, "10.0.0.3", 8, {"device:pi4": 1.0})
MIXED = Node("e" * 16, "10.0.0.4", 8, {"device:a100": 1.0, COMPILE: 6.0})


def test_a_machine_that_measures_compiles_nothing() -> None:
    seats, takes_turns = compile_seats([BUILDER, BOARD])
    assert [(seat.node, seat.slots, seat.cpus) for seat in seats] == [(BUILDER.id, 16, 16)]
    assert not takes_turns
    [seat] = device_seats([BUILDER, BOARD], "pi4")
    assert (seat.cpus, seat.resources) == (8, {"device:pi4": 1})


def test_a_machine_may_say_how_many_of_its_processors_compile() -> None:
    assert [seat.slots for seat in compile_seats([MIXED])[0]] == [6]
    assert device_seats([MIXED], "a100")[0].cpus == 2


def test_where_all_measure_they_take_turns() -> None:
    seats, takes_turns = compile_seats([BOARD])
    assert takes_turns
    assert [(seat.slots, seat.cpus) for seat in seats] == [(8, 0)]
    assert device_seats([BOARD], "pi4")[0].cpus == 0


def test_nodes_of_one_host_measure_together() -> None:
    other = Node("f" * 16, BOARD.host, 4)
    assert compile_seats([BOARD, other])[1]


def test_devices_without_a_node_have_no_seat() -> None:
    assert device_seats([BUILDER, BOARD], "pi5") == []


@pytest.mark.parametrize(
    "text", ["local", "ray", "ray://10.0.0.1:10001", "ray://head.example:1", "ray://[::1]:10001"]
)
def test_addresses_of_workers(text: str) -> None:
    assert parse_workers(text).text == text


@pytest.mark.parametrize(
    "text", ["", "Ray", "ray:", "ray://", "ray://host", "ray://host:0", "ray://h:99999", "ssh://a:1"]
)
def test_what_names_no_workers_is_refused(text: str) -> None:
    with pytest.raises(Misuse, match="expected workers") as caught:
        parse_workers(text)
    assert caught.value.code == "AT750"


@pytest.mark.parametrize(
    ("url", "there"),
    [
        ("ray:epyc", "local"),
        ("ray:pi-4.b?threads=4", "local?threads=4"),
        ("ray:a100?target=nvidia/nvidia-a100", "cuda:0?target=nvidia/nvidia-a100"),
    ],
)
def test_devices_of_a_cluster(url: str, there: str) -> None:
    via = parse_connection(url)
    assert isinstance(via, Clustered)
    assert (str(via), via.there) == (url, there)


@pytest.mark.parametrize("url", ["ray:", "ray:a b", "ray:a?colour=1", "ray:-a"])
def test_what_names_no_device_of_a_cluster_is_refused(url: str) -> None:
    with pytest.raises(Misuse, match="device of a cluster"):
        parse_connection(url)
