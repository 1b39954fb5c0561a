"""Devices by name: what a file says, and where it is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from autotune.devices.device import local_device
from autotune.devices.device_file import find_device, read_devices
from search_spaces.errors import Misuse
from search_spaces.target import Target

GOOD = """
[[device]]
name = "here"
connection = "local"
threads = 1
price_per_hour = 0

[[device]]
name = "pi4"
connection = "rpc://127.0.0.1:1/pi4"
target = "llvm -mtriple=aarch64-linux-gnu -mcpu=cortex-a72"
linker = "aarch64-linux-gnu-gcc"
threads = 4
price_per_hour = 0.02
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "devices.toml"
    path.write_text(text)
    return path


def test_devices_are_read_in_order(tmp_path: Path) -> None:
    here, board = read_devices(written(tmp_path, GOOD))
    assert (here.name, here.connection, here.threads, here.price_per_hour) == ("here", "local", 1, 0.0)
    assert board.target == Target.parse("llvm -mtriple=aarch64-linux-gnu -mcpu=cortex-a72")
    assert (board.linker, board.threads, board.price_per_hour) == ("aarch64-linux-gnu-gcc", 4, 0.02)


def test_a_name_stands_for_its_device(tmp_path: Path) -> None:
    device = find_device("here", written(tmp_path, GOOD))
    assert device.fingerprint == local_device(threads=1).fingerprint
    assert (device.name, device.threads, device.price_per_hour) == ("here", 1, 0.0)


def test_an_unknown_name_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(Misuse, match="here, pi4; found 'pi5'"):
        find_device("pi5", written(tmp_path, GOOD))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[[device]]\nname = "a"\n', ":1: a device has a connection"),
        ('[[device]]\nname = "a"\nconnection = "rpc://h:1/k"\n', ":3: a board has a target"),
        ('[[device]]\nname = "a"\nconnection = "local"\nthreads = 0\n', ":4: threads is positive"),
        (
            '[[device]]\nname = "a"\nconnection = "local"\nprice_per_hour = -1\n',
            ":4: price_per_hour is finite and not negative; found -1",
        ),
        ('[[device]]\nname = "a"\nconnection = "local"\ntarget = "llvm"\n', ":4: only boards"),
        ('[[device]]\nname = "a"\nconnection = "rpc://h:1/k"\ntarget = "x y"\n', ":4: a target's attribute"),
        (
            '[[device]]\nname = "a"\nconnection = "local"\nthread = 1\n',
            ":4: unknown key 'thread'; did you mean",
        ),
        (GOOD + '[[device]]\nname = "pi4"\nconnection = "local"\n', "a second device is called 'pi4'"),
        ("[[device]]\nname = 3\n", ":2: name is a text"),
        ("name = \n", ":1: "),
        ("", "expected at least one"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(Misuse) as caught:
        read_devices(written(tmp_path, text))
    assert said in str(caught.value)
