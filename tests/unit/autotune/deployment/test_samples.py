"""Samples from files: what fits the inputs is read as it was written, all else is refused in one sentence."""

from __future__ import annotations

import io
import math
import pickle
import tempfile
import zipfile
from contextlib import suppress
from pathlib import Path

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotune.deployment.samples import read_samples
from autotune.models.onnx_file import InputSpec
from search_spaces import Misuse

DTYPES = ("float32", "float64", "float16", "bfloat16", "int8", "uint8", "int32", "int64", "bool")
SHAPES = st.lists(st.integers(1, 4), max_size=4).map(tuple)
SPECS = st.lists(
    st.tuples(st.text("ab/:. é", min_size=1, max_size=5), SHAPES, st.sampled_from(DTYPES)),
    min_size=1,
    max_size=3,
    unique_by=lambda one: one[0],
).map(lambda found: tuple(InputSpec(*one) for one in found))


def arrays_of(specs: tuple[InputSpec, ...]) -> list[npt.NDArray[np.generic]]:
    rng = np.random.default_rng(0)
    return [np.asarray(rng.integers(0, 2, spec.shape).astype(spec.dtype), order="F") for spec in specs]


def refusal(path: Path, specs: tuple[InputSpec, ...]) -> str:
    with pytest.raises(Misuse) as caught:
        read_samples([path], specs)
    text = str(caught.value)
    assert "\n" not in text and str(path) in text
    return text


@given(SPECS, st.sampled_from(["named", "in order", "compressed"]))
def test_samples_are_read_as_they_were_written(specs: tuple[InputSpec, ...], how: str) -> None:
    arrays = arrays_of(specs)
    named = dict(zip([spec.name for spec in specs], arrays, strict=True))
    buffer = io.BytesIO()
    if how == "in order":
        np.savez(buffer, *arrays)
    elif how == "named":
        np.savez(buffer, **dict(reversed(named.items())))  # type: ignore[arg-type]
    else:
        np.savez_compressed(buffer, **named)  # type: ignore[arg-type]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "one.npz"
        path.write_bytes(buffer.getvalue())
        [found] = read_samples([folder], specs)
    for mine, right, spec in zip(found, arrays, specs, strict=True):
        assert mine.dtype == np.dtype(spec.dtype)
        np.testing.assert_array_equal(mine.astype(np.float64), right.astype(np.float64))


@given(SPECS, SHAPES, st.sampled_from(DTYPES), st.text("xyz", min_size=1, max_size=3))
def test_what_is_another_input_is_refused(
    specs: tuple[InputSpec, ...], shape: tuple[int, ...], dtype: str, name: str
) -> None:
    arrays = dict(zip([spec.name for spec in specs], arrays_of(specs), strict=True))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "one.npz"
        np.savez(path, **{**arrays, name: np.zeros(2)})  # type: ignore[arg-type]
        assert repr(name) in refusal(path, specs)
        if (shape, dtype) != (specs[0].shape, specs[0].dtype):
            np.savez(path, **{**arrays, specs[0].name: np.zeros(shape, dtype)})  # type: ignore[arg-type]
            assert f"expected {specs[0].dtype} {specs[0].shape}" in refusal(path, specs)


@given(st.binary(max_size=200), st.sampled_from([".npz", ".npy"]), st.integers(0, 300), st.integers(0, 255))
def test_damaged_files_are_refused(junk: bytes, suffix: str, place: int, byte: int) -> None:
    specs = (InputSpec("x", (2, 3), "float32"),)
    buffer = io.BytesIO()
    array = np.ones((2, 3), np.float32)
    np.savez(buffer, x=array) if suffix == ".npz" else np.save(buffer, array)
    whole = buffer.getvalue()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"one{suffix}"
        for text in (junk, whole[: place % len(whole)]):
            path.write_bytes(text)
            refusal(path, specs)
        changed = bytearray(whole)
        changed[place % len(whole)] = byte
        path.write_bytes(changed)
        with suppress(Misuse):
            [[found]] = read_samples([path], specs)
            assert (found.shape, found.dtype) == ((2, 3), np.float32)


class Trap:
    """An object whose pickle would end the process."""

    def __reduce__(self) -> tuple[object, tuple[int]]:
        import os

        return os._exit, (9,)


@pytest.mark.parametrize("suffix", [".npz", ".npy"])
def test_nothing_is_unpickled(suffix: str, tmp_path: Path) -> None:
    specs = (InputSpec("x", (1,), "float32"),)
    path = tmp_path / f"one{suffix}"
    array = np.array([Trap()], object)
    np.savez(path, x=array) if suffix == ".npz" else np.save(path, array)
    assert "found object (1,)" in refusal(path, specs)
    path.write_bytes(pickle.dumps(Trap()))
    assert "damaged or none" in refusal(path, specs)


def test_an_array_larger_than_the_input_is_not_read(tmp_path: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f4", "fortran_order": False, "shape": (1 << 40,)}
    )
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", header.getvalue() + bytes(1 << 20))
    assert f"found float32 ({1 << 40},)" in refusal(tmp_path / "bomb.npz", (InputSpec("x", (4,), "float32"),))


def test_a_folder_is_read_in_the_order_of_names(tmp_path: Path) -> None:
    specs = (InputSpec("x", (), "float32"),)
    for number in (2, 1, 3):
        np.save(tmp_path / f"{number}.npy", np.float32(number))
    (tmp_path / "notes.txt").write_text("not a sample")
    assert [float(one[0]) for one in read_samples([tmp_path], specs)] == [1.0, 2.0, 3.0]
    assert math.prod(specs[0].shape) == 1


def test_no_samples_and_too_many_are_refused(tmp_path: Path) -> None:
    specs = (InputSpec("x", (), "float32"),)
    with pytest.raises(Misuse, match="found none"):
        read_samples([tmp_path], specs)
    np.save(tmp_path / "one.npy", np.float32(1))
    with pytest.raises(Misuse, match="at most 64 samples; found 65"):
        read_samples([tmp_path / "one.npy"] * 65, specs)


def test_an_array_without_a_name_is_of_a_model_with_one_input(tmp_path: Path) -> None:
    two = (InputSpec("x", (1,), "float32"), InputSpec("y", (1,), "float32"))
    np.save(tmp_path / "one.npy", np.zeros(1, np.float32))
    assert "found one array without a name" in refusal(tmp_path / "one.npy", two)


def test_a_bfloat16_is_told_from_a_float16(tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", np.zeros(1, ml_dtypes.bfloat16))
    refusal(tmp_path / "one.npy", (InputSpec("x", (1,), "float16"),))
