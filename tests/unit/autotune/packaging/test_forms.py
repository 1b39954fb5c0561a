"""Forms of packages, of contents that are made up."""

from __future__ import annotations

import ast
import base64
import csv
import hashlib
import io
import tarfile
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from package_contents import made_contents
from shipped_imports import expect_imports

from autotune.packaging.archive import Archive
from autotune.packaging.description_header import description_header
from autotune.packaging.forms import FORMS
from autotune.packaging.metadata import Metadata
from autotune.packaging.shipped_modules import shipped_modules
from autotune.packaging.wheel import Wheel, platform_tag
from search_spaces.errors import StorageError

HOSTILE = ('"; system("x"); "', "画像 1", "class", "1st\n2nd", "%s\\0??/", "n" * 300)


def test_metadata_is_read_back(tmp_path: Path) -> None:
    metadata = made_contents(tmp_path, HOSTILE).metadata
    assert msgspec.json.decode(metadata.to_json(), type=Metadata) == metadata


@pytest.mark.parametrize("name", FORMS)
def test_the_same_contents_give_the_same_bytes(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = made_contents(tmp_path)
    first = FORMS[name].write(contents, tmp_path)
    data = first.read_bytes()
    first.unlink()
    monkeypatch.setattr(time, "time", lambda: 2_000_000_000.0)
    assert FORMS[name].write(contents, tmp_path).read_bytes() == data


@pytest.mark.parametrize("name", FORMS)
def test_a_folder_that_cannot_be_written_to_is_named(name: str, tmp_path: Path) -> None:
    contents = made_contents(tmp_path)
    with pytest.raises(StorageError, match=r"could not be written to .*missing"):
        FORMS[name].write(contents, tmp_path / "missing")


def test_the_record_of_a_wheel_has_every_member_with_its_digest(tmp_path: Path) -> None:
    with zipfile.ZipFile(Wheel().write(made_contents(tmp_path), tmp_path)) as archive:
        rows = list(csv.reader(io.StringIO(archive.read("made-1.0+b0123.dist-info/RECORD").decode())))
        assert sorted(row[0] for row in rows) == sorted(archive.namelist())
        for name, digest, size in rows:
            if digest:
                data = archive.read(name)
                text = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
                assert (digest, int(size)) == (f"sha256={text}", len(data))


def test_the_platform_of_a_wheel_is_manylinux_where_glibc_is_all_it_needs(tmp_path: Path) -> None:
    metadata = made_contents(tmp_path).metadata
    assert platform_tag(metadata) == "manylinux_2_27_x86_64"
    requires = msgspec.structs.replace(metadata.requires, libraries=("libomp.so.5",))
    assert platform_tag(msgspec.structs.replace(metadata, requires=requires)) == "linux_x86_64"


def test_a_wheel_needs_ml_dtypes_where_a_tensor_has_such_a_type(tmp_path: Path) -> None:
    contents = made_contents(tmp_path)
    plain = Wheel().write(contents, tmp_path)
    spec = msgspec.structs.replace(contents.metadata.inputs[0], dtype="bfloat16")
    metadata = msgspec.structs.replace(contents.metadata, inputs=(spec,), version="2.0")
    half = Wheel().write(replace(contents, metadata=metadata), tmp_path)

    def needs(path: Path, version: str) -> str:
        with zipfile.ZipFile(path) as archive:
            return archive.read(f"made-{version}.dist-info/METADATA").decode()

    assert "ml_dtypes" not in needs(plain, "1.0+b0123")
    assert "Requires-Dist: ml_dtypes" in needs(half, "2.0")


def test_names_of_tensors_do_not_leave_their_literals(tmp_path: Path) -> None:
    text = description_header(made_contents(tmp_path, HOSTILE))
    lines = [line for line in text.splitlines() if '"float32", {1, 3}' in line]
    assert len(lines) == len(HOSTILE)
    for line, name in zip(lines, HOSTILE, strict=True):
        literal = line.strip().split('"')[1]
        assert line.count('"') == 4
        assert ast.literal_eval(f'b"{literal}"').decode() == name


def test_an_archive_has_no_paths_outside_its_folder(tmp_path: Path) -> None:
    with tarfile.open(Archive().write(made_contents(tmp_path), tmp_path)) as archive:
        names = archive.getnames()
    assert all(name.startswith("made/") for name in names)
    assert {"made/main.cpp", "made/lib/model.so", "made/metadata.json", "made/include/tvm/ffi/c_api.h"} < set(
        names
    )


def test_what_ships_imports_itself_and_what_a_wheel_requires_alone() -> None:
    expect_imports(shipped_modules(), {"numpy", "tvm_ffi", "ml_dtypes", "msgspec"})
