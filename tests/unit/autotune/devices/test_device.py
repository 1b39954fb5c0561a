"""Devices by URL: this machine, with as many threads as asked for, or a sentence that says what is possible."""

from __future__ import annotations

import os

import pytest

from autotune.devices.device import local_device, parse_device
from search_spaces.errors import Misuse


def test_local_is_this_machine_with_all_its_usable_cores() -> None:
    device = parse_device("local")
    assert device == local_device()
    assert device.threads == len(os.sched_getaffinity(0))
    assert device.target.kind == "llvm"
    assert device.target.attr("mtriple") is None
    assert device.fingerprint.facts["threads"] == device.threads
    assert device.price_per_hour is None


def test_another_number_of_threads_is_another_device() -> None:
    single = parse_device("local?threads=1")
    assert single.threads == 1
    assert single.target.attr("num-cores") == 1
    assert single.connection == "local?threads=1"
    facts = {name: value for name, value in single.fingerprint.facts.items() if name != "threads"}
    assert facts.items() <= dict(local_device().fingerprint.facts).items()


def test_the_fingerprint_is_the_same_every_time() -> None:
    assert local_device().fingerprint.key == local_device().fingerprint.key


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("rpc://10.0.0.1:9190/pi4", "a board's target must be named"),
        ("rocm:0", "'rocm' devices cannot be measured on yet"),
        ("toaster", "expected a device such as 'local'"),
        ("", "expected a device such as 'local'"),
        ("local/0", "expected a device such as 'local'"),
        ("local?cores=2", "one option, threads; found 'cores'"),
        ("local?threads", "threads"),
        ("local?threads=", "expected a number of threads"),
        ("local?threads=two", "expected a number of threads"),
        ("local?threads=0", "threads"),
        ("local?threads=-1", "expected a number of threads"),
        ("local?threads=100000", "one for each processor of this machine; found 100000"),
    ],
)
def test_other_urls_are_refused_with_what_is_known(url: str, said: str) -> None:
    with pytest.raises(Misuse, match=said.replace("?", r"\?")):
        parse_device(url)
