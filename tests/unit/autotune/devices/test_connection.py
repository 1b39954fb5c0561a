"""Connections: each kind of URL names one."""

from __future__ import annotations

from pathlib import Path

import pytest

from autotune.devices.connection import Connection, Cuda, Local, Rpc, parse_connection
from autotune.devices.rpc_tracker import Address
from autotune.transport.route import Route
from search_spaces import Misuse


@pytest.mark.parametrize(
    ("url", "connection"),
    [
        ("local", Local()),
        ("local?threads=2", Local()),
        ("cuda:0", Cuda(0)),
        ("cuda:1?target=nvidia/nvidia-a100", Cuda(1)),
        ("rpc://10.0.0.7:9190/pi4", Rpc(Address("10.0.0.7", 9190), "pi4")),
        ("rpc://[::1]:9190/pi4?target=llvm -num-cores=4", Rpc(Address("::1", 9190), "pi4")),
        (
            "rpcs://10.0.0.7:9190/pi4?identity=a%20b/me",
            Rpc(Address("10.0.0.7", 9190), "pi4", Route(Path("a b/me"))),
        ),
        ("ssh://me@pi:22/pi4", Rpc(Address("127.0.0.1", 9190), "pi4", Route(ssh="me@pi:22"))),
        (
            "ssh://pi/pi4?tracker=farm:9191&target=llvm&identity=keys/me",
            Rpc(Address("farm", 9191), "pi4", Route(Path("keys/me"), "pi")),
        ),
    ],
)
def test_a_url_names_a_connection(url: str, connection: Connection) -> None:
    assert parse_connection(url) == connection


def test_a_connection_is_written_as_its_url() -> None:
    for url in (
        "cuda:3",
        "rpc://10.0.0.7:9190/pi4",
        "rpc://[::1]:9190/pi4",
        "rpcs://10.0.0.7:9190/pi4?identity=a%20b/me",
        "ssh://me@pi:22/pi4?tracker=127.0.0.1:9190&identity=keys/me",
    ):
        assert str(parse_connection(url)) == url


@pytest.mark.parametrize(
    "url",
    [
        "cuda:",
        "cuda:first",
        "rpc://nowhere/pi4",
        "rpcs://10.0.0.7:9190/pi4",
        "rpc://10.0.0.7:9190/pi4?identity=keys/me",
        "ssh://-oProxyCommand=reboot/pi4",
        "ssh://a b/pi4",
        "ssh:///pi4",
    ],
)
def test_an_address_or_a_number_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(Misuse, match="found"):
        parse_connection(url)
