"""Programs of torch.export, and modules in memory, compute what PyTorch does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from repository import GOLDEN

from autotune.deployment.compilation import compile
from autotune.deployment.engine import draw
from autotune.deployment.referee import judge
from autotune.deployment.reference import reference_for
from autotune.deployment.reference_engine import reference_engine
from autotune.models.model import Model, load_model, read_inputs
from autotune.models.task_extraction import extract_tasks
from autotune.models.torch_module import from_torch
from search_spaces.errors import Misuse
from search_spaces.target import Target
from tuning_logs.file.log import TuningLog

torch: Any = pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'autotune[torch]'")
nn = torch.nn

MODELS = GOLDEN / "models"


def outputs(model: Model, target: Target, *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
    found = compile(model, target, TuningLog.in_memory())(*inputs)
    return found if isinstance(found, tuple) else (found,)


@pytest.mark.parametrize("name", ["residual", "decoder"])
def test_stored_programs(name: str, target: Target) -> None:
    model, stored = load_model(MODELS / f"{name}.pt2"), np.load(MODELS / f"{name}.npz")
    (found,) = outputs(model, target, stored["inputs"])
    np.testing.assert_allclose(found, stored["outputs"], rtol=1e-5, atol=1e-5)
    assert read_inputs(model.path, model.shapes) == model.inputs


@pytest.mark.parametrize("name", ["residual", "decoder"])
def test_the_reference_accepts_the_build_and_refuses_another(name: str, target: Target) -> None:
    model = load_model(MODELS / f"{name}.pt2")
    inputs = draw(model.inputs, 0)
    expected = reference_for(model.path, model.shapes, 1).expected(inputs, 0)
    found = outputs(model, target, *inputs)
    assert judge(found, expected).mistake is None
    assert judge([found[0] * 1.01], expected).mistake is not None


class Cancelling(nn.Module):
    """A sum of which little is left, a comparison with it, and a layer beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(32, 32)
        self.register_buffer("large", torch.tensor(4096.0))

    def forward(self, x: Any) -> tuple[Any, ...]:
        left = (x + torch.zeros(32, dtype=torch.float32) + self.large) - self.large
        return left, left < 0.1, nn.functional.gelu(self.layer(x))


def test_more_exact_outputs_than_pytorchs_own_are_right(tmp_path: Path) -> None:
    module, x = Cancelling().eval(), torch.randn(16, 32)
    torch.export.save(torch.export.export(module, (x,)), tmp_path / "cancelling.pt2")
    right = reference_for(tmp_path / "cancelling.pt2", {}, 1).expected([x.numpy()], 0)
    found = [value.detach().numpy() for value in module.double()(x.double())]
    exact = [x.numpy(), x.numpy() < np.float32(0.1), found[2].astype(np.float32)]
    assert judge(exact, right).mistake is None
    for place, output in enumerate(right):
        wrong = [one.values.copy() for one in right]
        wrong[place].flat[7] = ~output.values.flat[7] if place == 1 else output.values.flat[7] + 0.5
        assert judge(wrong, right).mistake is not None


def test_batch_norms_are_part_of_the_convolutions(target: Target) -> None:
    names = [task.name for task in extract_tasks(load_model(MODELS / "residual.pt2"), target)]
    assert not [name for name in names if "subtract" in name or "sqrt" in name or "divide_multiply" in name]


class Pair(nn.Module):
    """Two outputs of other types, in containers, from an argument and a keyword."""

    def forward(self, x: Any, scale: Any) -> dict[str, Any]:
        return {"half": (x * scale).to(torch.bfloat16), "both": (x + scale, (x > 0).to(torch.int64))}


def test_outputs_in_containers_and_of_other_types(target: Target, tmp_path: Path) -> None:
    model = from_torch(Pair(), (torch.randn(2, 8), torch.randn(8)), tmp_path / "pair.pt2")
    engine = reference_engine(model.path, model.shapes, 1)
    assert engine is not None
    assert [spec.name for spec in model.inputs] == ["x", "scale"]
    inputs = draw(model.inputs, 0)
    for mine, right in zip(outputs(model, target, *inputs), engine.open()(*inputs), strict=True):
        assert (mine.dtype, mine.shape) == (right.dtype, right.shape)
        np.testing.assert_allclose(mine.astype(np.float64), right.astype(np.float64), rtol=1e-6)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_floats(dtype: str, target: Target, tmp_path: Path) -> None:
    torch.manual_seed(0)
    layers = nn.Sequential(
        nn.Conv2d(3, 16, 3),
        nn.BatchNorm2d(16),
        nn.GroupNorm(4, 16),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(576, 8),
    )
    module = layers.to(getattr(torch, dtype))
    model = from_torch(module, torch.randn(1, 3, 8, 8, dtype=getattr(torch, dtype)), tmp_path / "half.pt2")
    inputs = draw(model.inputs, 0)
    assert inputs[0].dtype == np.dtype(dtype)
    expected = reference_for(model.path, model.shapes, 1).expected(inputs, 0)
    assert judge(outputs(model, target, *inputs), expected).mistake is None


def test_dynamic_dimensions(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    sizes = {0: torch.export.Dim("images", max=8), 2: torch.export.Dim("height", min=8)}
    program = torch.export.export(module, (torch.randn(2, 3, 16, 16),), dynamic_shapes=(sizes,))
    path = tmp_path / "dynamic.pt2"
    torch.export.save(program, str(path))
    height = next(
        str(size) for size in program.range_constraints if program.range_constraints[size].lower == 8
    )
    with pytest.raises(Misuse, match="free dimensions") as error:
        load_model(path)
    assert error.value.code == "AT104"
    model = load_model(path, dims={height: 10})
    assert model.inputs[0].shape == (1, 3, 10, 16)
    assert "--dim batch=N" in model.notices[0]
    assert load_model(path, {"input": (4, 3, 12, 16)}).inputs[0].shape == (4, 3, 12, 16)
    with pytest.raises(Misuse, match=r"expected 0 to 8 .* found 9"):
        load_model(path, {"input": (9, 3, 12, 16)})


class Counting(nn.Module):
    """A module with state."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros(4))

    def forward(self, x: Any) -> Any:
        self.count.add_(1)
        return x + self.count


def test_state_is_refused() -> None:
    with pytest.raises(Misuse, match=r"a run of Counting\.pt2 changes 'count'"):
        from_torch(Counting(), torch.randn(4))


def test_training_mode_is_refused_in_files_and_left_for_modules(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).train()
    module[0].eval()
    example = (torch.randn(2, 3, 8, 8),)
    torch.export.save(torch.export.export(module, example), str(tmp_path / "train.pt2"))
    with pytest.raises(Misuse, match=r"changes '1\.running_mean'.*after \.eval\(\)"):
        load_model(tmp_path / "train.pt2")
    assert from_torch(module, example).name == "Sequential"
    assert (module.training, module[0].training, module[1].training) == (True, False, True)


class Spectrum(nn.Module):
    """A layer that TVM has no converter for."""

    def __init__(self) -> None:
        super().__init__()
        self.values = Eigenvalues()

    def forward(self, x: Any) -> Any:
        return self.values(x @ x.T)


class Eigenvalues(nn.Module):
    """The operator itself."""

    def forward(self, x: Any) -> Any:
        return torch.linalg.eigvals(x).real


def test_an_operator_without_a_converter_is_named_with_its_layer() -> None:
    with pytest.raises(Misuse, match=r"cannot import Spectrum\.pt2: .*eig.*'values'") as error:
        from_torch(Spectrum(), torch.randn(4, 4))
    assert error.value.code == "AT106"


def test_what_is_no_program(tmp_path: Path) -> None:
    (tmp_path / "cut.pt2").write_bytes((MODELS / "residual.pt2").read_bytes()[:-500])
    with pytest.raises(Misuse, match="damaged"):
        load_model(tmp_path / "cut.pt2")
    (tmp_path / "text.pt2").write_text("version https://git-lfs.github.com/spec/v1")
    with pytest.raises(Misuse, match="truncated"):
        load_model(tmp_path / "text.pt2")
    with pytest.raises(Misuse, match="there is no such file"):
        load_model(tmp_path / "none.pt2")
    with pytest.raises(Misuse, match=r"expected a torch\.nn\.Module; found int"):
        from_torch(3, torch.randn(1))
    with pytest.raises(Misuse, match=r"ends in \.pt2"):
        from_torch(nn.ReLU(), torch.randn(1), tmp_path / "relu.pt")
    with pytest.raises(Misuse, match="cannot write"):
        from_torch(nn.ReLU(), torch.randn(1), tmp_path / "no" / "relu.pt2")
