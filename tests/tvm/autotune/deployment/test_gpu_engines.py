"""Engines for GPUs of NVIDIA: found by name and format; where something is missing, a sentence says what."""

from __future__ import annotations

from pathlib import Path

import onnxruntime
import pytest

from autotune.comparison.entrants import check_names, default_engines, enter
from autotune.comparison.subject import ModelFile, Subject, read_subjects
from autotune.deployment.gpu_engines import find_gpu_engine, gpu_engine_names, gpu_engines_for
from autotune.deployment.onnxruntime_gpu_engine import CUDA, TENSORRT
from autotune.devices.device import Device, local_device
from search_spaces.errors import Misuse
from search_spaces.target import Target
from tuning_logs.records.device_fingerprint import DeviceFingerprint

GPU = Device("h100", Target("nvidia/nvidia-h100"), "cuda:1", DeviceFingerprint("H100", {}))
PROVIDERS = {"onnxruntime-cuda": CUDA, "tensorrt": TENSORRT}


@pytest.fixture
def subject(small_network: Path) -> Subject:
    return read_subjects([ModelFile(small_network)])[0]


@pytest.mark.parametrize("name", PROVIDERS)
def test_an_onnx_runtime_without_the_provider_is_a_sentence(name: str, subject: Subject) -> None:
    if PROVIDERS[name] in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has it")
    entrant = enter(name, subject, GPU, None, Path())
    assert entrant.engine is not None
    with pytest.raises(
        Misuse, match=rf"expected ONNX Runtime's {PROVIDERS[name]}.*pip install onnxruntime-gpu"
    ):
        entrant.engine.open()


def test_a_session_that_falls_back_to_the_processor_is_none(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    if CUDA in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has it")
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA, "CPUExecutionProvider"])
    engine = find_gpu_engine("onnxruntime-cuda", subject.path, subject.shapes, 0)
    with (
        pytest.warns(UserWarning, match="not in available provider"),
        pytest.raises(Misuse, match="a session on CPU"),
    ):
        engine.open()


@pytest.mark.parametrize("name", ["torch-cuda", "torch-compiled"])
def test_pytorch_that_sees_no_gpu_is_a_sentence(name: str, tmp_path: Path) -> None:
    (tmp_path / "model.pt2").touch()
    engine = find_gpu_engine(name, tmp_path / "model.pt2", {}, 0)
    with pytest.raises(
        Misuse, match=r"expected (the packages of the extra 'torch'|a PyTorch that sees a GPU)"
    ):
        engine.open()


def test_by_default_builds_meet_the_engines_for_the_format_and_the_device(subject: Subject) -> None:
    assert default_engines(subject.path, GPU, "log") == (
        "autotune",
        "untuned",
        "onnxruntime-cuda",
        "tensorrt",
    )
    assert default_engines(Path("net.pt2"), GPU, None) == ("autotune", "torch-cuda", "torch-compiled")
    assert not {*default_engines(subject.path, local_device(), None)} & {*gpu_engine_names()}
    check_names(gpu_engine_names())


def test_an_engine_for_another_device_or_format_is_a_reason(subject: Subject, tmp_path: Path) -> None:
    there = enter("tensorrt", subject, local_device(), None, tmp_path)
    assert (there.code, there.engine) == ("AT708", None)
    assert "runs on GPUs of NVIDIA" in str(there.reason)
    here = enter("torch-cuda", subject, GPU, None, tmp_path)
    assert here.code == "AT805"
    assert "of onnxruntime-cuda, tensorrt; found 'torch-cuda'" in str(here.reason)
    assert gpu_engines_for(Path("net.tflite")) == []
