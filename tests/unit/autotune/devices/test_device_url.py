"""Devices by URL: this machine, with as many threads as asked for, or a sentence that says what is possible."""

from __future__ import annotations

import os
import platform

import pytest

from autotune.devices import host
from autotune.devices.device import local_device
from autotune.devices.device_url import parse_device
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


@pytest.mark.skipif(platform.machine() != "x86_64", reason="names processors of x86")
def test_an_older_processor_is_another_target_on_the_same_machine() -> None:
    older = parse_device("local?mcpu=x86-64&threads=1")
    assert older.target.attr("mcpu") == "x86-64"
    assert older.threads == older.target.attr("num-cores") == 1
    assert older.fingerprint == local_device(1).fingerprint
    assert parse_device(older.connection) == older


@pytest.mark.skipif(platform.machine() != "x86_64", reason="names processors of x86")
def test_instructions_that_this_processor_lacks_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "missing_features", lambda machine, wanted: tuple(set(wanted) & {"avx512f"}))
    with pytest.raises(Misuse, match="found 'skylake-avx512', and this one lacks avx512f"):
        parse_device("local?mcpu=skylake-avx512")
    assert parse_device("local?mcpu=haswell").target.attr("mcpu") == "haswell"


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
        ("local?cores=2", "the options threads and mcpu; found 'cores'"),
        ("local?threads", "threads"),
        ("local?threads=", "expected a number of threads"),
        ("local?threads=two", "expected a number of threads"),
        ("local?threads=0", "threads"),
        ("local?threads=-1", "expected a number of threads"),
        ("local?mcpu=", "by LLVM's name, as in haswell or x86-64-v3; found ''"),
        ("local?mcpu=pentium-9", "by LLVM's name, as in haswell or x86-64-v3; found 'pentium-9'"),
        ("local?threads=100000", "one for each processor of this machine; found 100000"),
    ],
)
def test_other_urls_are_refused_with_what_is_known(url: str, said: str) -> None:
    with pytest.raises(Misuse, match=said.replace("?", r"\?")):
        parse_device(url)
