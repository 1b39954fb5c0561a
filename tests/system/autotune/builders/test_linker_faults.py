"""A linker without room, or that goes away while candidates are built, is no fault of theirs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from faulty_kernels import add_one, built

from autotune.builders.local_builder import LocalBuilder
from autotune.devices.device import local_device
from search_spaces.errors import AutotuneError, StorageError
from search_spaces.tensor_ir.tensor_ir_space import TensorIRSpace

#: What a linker prints that has a full disk under its output or under the folder of its temporary files.
FULL = (
    "/usr/bin/ld: final link failed: No space left on device",
    "cc1: fatal error: /tmp/cc0.s: Disk quota exceeded",
    "ld: cannot open output file x.so: Read-only file system",
)


@dataclass(frozen=True)
class FailingLinker:
    """A linker that works until it is told what to do instead."""

    path: Path

    def fails_by(self, shell: str) -> None:
        self.path.write_text(f"#!/bin/sh\n{shell}\n")

    def works(self) -> None:
        self.fails_by('exec cc "$@"')


@pytest.fixture(scope="module")
def linker(tmp_path_factory: pytest.TempPathFactory) -> FailingLinker:
    linker = FailingLinker(tmp_path_factory.mktemp("bin") / "linker")
    linker.works()
    linker.path.chmod(0o755)
    return linker


@pytest.fixture(scope="module")
def space() -> TensorIRSpace:
    return add_one(local_device().target)


@pytest.fixture(scope="module")
def builder(linker: FailingLinker, space: TensorIRSpace) -> Iterator[LocalBuilder]:
    with LocalBuilder(1, linker=str(linker.path)) as builder:
        built(builder, space)
        yield builder


@pytest.mark.parametrize("said", FULL)
def test_want_of_room_is_the_disks_fault_even_where_there_is_room_again(
    said: str, linker: FailingLinker, builder: LocalBuilder, space: TensorIRSpace
) -> None:
    linker.fails_by(f"echo '{said}' >&2; exit 1")
    with pytest.raises(StorageError, match=said):
        builder.build([space.apply(space.default)])
    linker.works()
    built(builder, space)


@pytest.mark.parametrize(
    "shell", ["echo \"collect2: fatal error: cannot find 'ld'\" >&2; exit 1", "exit 127"]
)
def test_a_linker_that_links_nothing_is_told_from_a_kernel_that_cannot_be_linked(
    shell: str, linker: FailingLinker, builder: LocalBuilder, space: TensorIRSpace
) -> None:
    linker.fails_by(shell)
    with pytest.raises(AutotuneError, match="does not even link an empty file") as error:
        builder.build([space.apply(space.default)])
    assert error.value.code == "AT808"
    linker.works()
    built(builder, space)


def test_a_linker_that_is_gone_is_named_and_found_again(
    linker: FailingLinker, builder: LocalBuilder, space: TensorIRSpace
) -> None:
    away = linker.path.rename(linker.path.with_name("away"))
    with pytest.raises(AutotuneError, match=r"found no '.*linker' on the PATH") as error:
        builder.build([space.apply(space.default)])
    assert error.value.code == "AT701"
    away.rename(linker.path)
    built(builder, space)
