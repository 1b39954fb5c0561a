"""Random networks of ONNX operators: images and sequences of all sizes, in any order of operators."""

from __future__ import annotations

from collections.abc import Callable
from math import isqrt, prod

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

Shape = tuple[int, ...]

_CHANNELS = (1, 3, 4, 7, 8, 12, 16, 20, 24, 28, 30, 32, 33, 40, 48, 64)
_SIZES = (5, 7, 8, 12, 16, 20, 24)
_FUNCTIONS = (
    "Relu", "Sigmoid", "Tanh", "Softplus", "HardSwish", "LeakyRelu", "Elu", "Erf", "Neg", "Abs", "Gelu",
)  # fmt: skip
_IMAGE_AXES = 4
#: More elements are not enlarged or written out as scores.
_MOST_PIXELS, _MOST_ROWS = 600, 128
#: The numbers that scale what a network computes at run time.
SCALE = "scale"


def random_network(rng: np.random.Generator) -> tuple[onnx.ModelProto, list[npt.NDArray[np.float32]]]:
    """A network of three to thirteen steps with what nothing reads as outputs, and inputs for it."""
    writer = _Writer(rng)
    steps = [getattr(writer, name) for name in dir(_Writer) if name.startswith("step_")]
    while len(writer.nodes) == 0:
        for _ in range(int(rng.integers(3, 14))):
            steps[int(rng.integers(len(steps)))]()
    return writer.model(), writer.inputs


class _Writer:
    """Writes a network node by node; a step that fits no value so far writes nothing."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        height = self._one_of(_SIZES)
        shape = (self._one_of((1, 1, 1, 2)), self._one_of(_CHANNELS), height, self._one_of((height, 9, 13)))
        self._shapes: dict[str, Shape] = {"x": shape}
        self.inputs = [rng.standard_normal(shape).astype(np.float32), np.array([0.3], np.float32)]

    def model(self) -> onnx.ModelProto:
        """The network; `scale` is an output too, so that it is read."""
        read = {name for node in self.nodes for name in node.input}
        ends = [name for node in self.nodes for name in node.output if name not in read]
        nodes = [*self.nodes, helper.make_node("Identity", [SCALE], ["same"])]
        values = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, array.shape)
            for name, array in zip(("x", SCALE), self.inputs, strict=True)
        ]
        outputs = [helper.make_empty_tensor_value_info(name) for name in (*ends, "same")]
        graph = helper.make_graph(nodes, "random", values, outputs, self._constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
        return onnx.shape_inference.infer_shapes(model)

    def _one_of(self, choices: tuple[int, ...] | list[int]) -> int:
        return int(choices[int(self.rng.integers(len(choices)))])

    def _named(self, choices: tuple[str, ...]) -> str:
        return choices[int(self.rng.integers(len(choices)))]

    def _is_drawn(self, odds: float) -> bool:
        return float(self.rng.random()) < odds

    def _constant(self, values: npt.ArrayLike) -> str:
        name = f"c{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def _weights(self, *shape: int) -> str:
        drawn = self.rng.standard_normal(shape) / np.sqrt(max(prod(shape[1:]), 1))
        return self._constant(drawn.astype(np.float32))

    def _whole(self, *numbers: int) -> str:
        return self._constant(np.array(numbers, np.int64))

    def _write(self, operator: str, inputs: list[str], shape: Shape, **attributes: object) -> str:
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [name], **attributes))
        self._shapes[name] = shape
        return name

    def _value(self, fits: Callable[[Shape], bool] = lambda _: True) -> tuple[str, Shape] | None:
        """A value of a fitting shape, late ones more often."""
        names = [name for name, shape in self._shapes.items() if shape and fits(shape)]
        if not names:
            return None
        odds = np.arange(1, len(names) + 1) ** 2.0
        name = names[int(self.rng.choice(len(names), p=odds / odds.sum()))]
        return name, self._shapes[name]

    def _image(self) -> tuple[str, Shape] | None:
        return self._value(lambda shape: len(shape) == _IMAGE_AXES)

    def _convolved(self, kernel: int, outputs: int, groups: int, found: tuple[str, Shape]) -> None:
        name, (batch, channels, *sizes) = found
        stride, dilation = self._one_of((1, 1, 2, 3)), self._one_of((1, 1, 2))
        pad = int(self.rng.integers(kernel))
        results = [(size + 2 * pad - dilation * (kernel - 1) - 1) // stride + 1 for size in sizes]
        if min(results) < 1:
            return
        inputs = [name, self._weights(outputs, channels // groups, kernel, kernel)]
        if self._is_drawn(0.6):
            inputs.append(self._weights(outputs))
        self._write(
            "Conv",
            inputs,
            (batch, outputs, *results),
            kernel_shape=[kernel] * 2,
            strides=[stride] * 2,
            dilations=[dilation] * 2,
            pads=[pad] * 4,
            group=groups,
        )

    def step_convolution(self) -> None:
        if found := self._image():
            outputs, channels = self._one_of(_CHANNELS), found[1][1]
            groups = 4 if channels % 4 == outputs % 4 == 0 and self._is_drawn(0.2) else 1
            self._convolved(self._one_of((1, 1, 2, 3, 3, 5)), outputs, groups, found)

    def step_depthwise_convolution(self) -> None:
        if found := self._image():
            channels = found[1][1]
            self._convolved(self._one_of((3, 5)), channels * self._one_of((1, 1, 2)), channels, found)

    def step_transposed_convolution(self) -> None:
        if found := self._image():
            name, (batch, channels, *sizes) = found
            outputs, kernel, stride = (
                self._one_of(_CHANNELS[:10]),
                self._one_of((2, 3, 4)),
                self._one_of((1, 2)),
            )
            pad = int(self.rng.integers(kernel - 1))
            results = [(size - 1) * stride + kernel - 2 * pad for size in sizes]
            if min(results) > 0 and prod(results) < 4 * _MOST_PIXELS:
                attributes = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": [pad] * 4}
                weights = self._weights(channels, outputs, kernel, kernel)
                self._write("ConvTranspose", [name, weights], (batch, outputs, *results), **attributes)

    def step_pool(self) -> None:
        if found := self._image():
            name, (batch, channels, *sizes) = found
            kernel, stride = self._one_of((2, 3)), self._one_of((1, 2))
            pad = int(self.rng.integers(kernel // 2 + 1))
            results = [(size + 2 * pad - kernel) // stride + 1 for size in sizes]
            if min(results) < 1:
                return
            attributes = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": [pad] * 4}
            if self._is_drawn(0.5):
                attributes["count_include_pad"] = int(self.rng.integers(2))
            operator = "AveragePool" if "count_include_pad" in attributes else "MaxPool"
            self._write(operator, [name], (batch, channels, *results), **attributes)

    def step_pad(self) -> None:
        if found := self._image():
            name, shape = found
            before, after = ([0, *map(int, self.rng.integers(0, most, 3))] for most in (3, 5))
            if self._is_drawn(0.5):  # of channels alone
                before[2:] = after[2:] = [0, 0]
            mode = self._named(("constant", "constant", "reflect", "edge"))
            pads = list(zip(shape, before, after, strict=True))
            if mode == "reflect" and any(max(ends) >= size for size, *ends in pads):
                return
            sizes = tuple(map(sum, pads))
            self._write("Pad", [name, self._whole(*before, *after)], sizes, mode=mode)

    def step_widened_shortcut(self) -> None:
        """A residual block that halves an image and has more channels than it; the shortcut's are zeros."""
        found = self._value(lambda shape: len(shape) == _IMAGE_AXES and min(shape[2:]) > 1)
        if found:
            name, (batch, channels, height, width) = found
            added = self._one_of((2, 4, 16))
            halved, wide = (height // 2, width // 2), (batch, channels + added, height // 2, width // 2)
            window = {"kernel_shape": [2, 2], "strides": [2, 2]}
            pooled = self._write("MaxPool", [name], (batch, channels, *halved), **window)
            shortcut = self._write("Pad", [pooled, self._whole(0, 0, 0, 0, 0, added, 0, 0)], wide)
            weights = self._weights(channels + added, channels, 2, 2)
            block = self._write("Conv", [name, weights], wide, **window)
            self._write("Add", [shortcut, block], wide)

    def step_slice(self) -> None:
        if found := self._value(lambda shape: max(shape) > 1):
            name, shape = found
            axis = self._one_of([place for place, size in enumerate(shape) if size > 1])
            start = int(self.rng.integers(shape[axis] - 1))
            end, step = int(self.rng.integers(start + 1, shape[axis] + 1)), self._one_of((1, 1, 1, 2))
            sizes = (*shape[:axis], -(-(end - start) // step), *shape[axis + 1 :])
            self._write("Slice", [name, *(self._whole(each) for each in (start, end, axis, step))], sizes)

    def step_concatenation(self) -> None:
        if found := self._value():
            name, shape = found
            axis = int(self.rng.integers(len(shape)))

            def fits(other: Shape) -> bool:
                return len(other) == len(shape) and all(
                    mine == its
                    for place, (mine, its) in enumerate(zip(shape, other, strict=True))
                    if place != axis
                )

            if other := self._value(fits):
                sizes = (*shape[:axis], shape[axis] + other[1][axis], *shape[axis + 1 :])
                self._write("Concat", [name, other[0]], sizes, axis=axis)

    def step_elementwise_of_two(self) -> None:
        if found := self._value():
            name, shape = found

            def fits(other: Shape) -> bool:
                return len(other) == len(shape) and all(
                    mine == its or 1 in (mine, its) for mine, its in zip(shape, other, strict=True)
                )

            if other := self._value(fits):
                sizes = tuple(map(max, shape, other[1]))
                self._write(self._named(("Add", "Mul", "Sub", "Max")), [name, other[0]], sizes)

    def step_constant(self) -> None:
        if found := self._value():
            name, shape = found
            sizes = [size if self._is_drawn(0.5) else 1 for size in shape]
            self._write(self._named(("Add", "Mul")), [name, self._weights(*sizes)], shape)

    def step_function(self) -> None:
        if found := self._value():
            self._write(self._named(_FUNCTIONS), [found[0]], found[1])

    def step_resize(self) -> None:
        found = self._image()
        if found and prod(found[1][2:]) <= _MOST_PIXELS:
            name, (batch, channels, height, width) = found
            mode, places = self._named(("nearest", "linear")), self._named(("asymmetric", "half_pixel"))
            attributes = {"mode": mode, "coordinate_transformation_mode": places}
            if mode == "nearest":
                attributes["nearest_mode"] = "floor"
            factors = self._constant(np.array([1, 1, 2, 2], np.float32))
            self._write("Resize", [name, "", factors], (batch, channels, 2 * height, 2 * width), **attributes)

    def step_transposition(self) -> None:
        if found := self._value():
            name, shape = found
            order = [int(axis) for axis in self.rng.permutation(len(shape))]
            self._write("Transpose", [name], tuple(shape[axis] for axis in order), perm=order)

    def step_reshape(self) -> None:
        if found := self._value():
            name, shape = found
            first = self._divisor(prod(shape))
            second = self._divisor(prod(shape) // first)
            sizes = (1, first, second, prod(shape) // first // second)
            flat = sizes if self._is_drawn(0.6) else (first, prod(shape) // first)
            self._write("Reshape", [name, self._whole(*flat)], flat)

    def _divisor(self, number: int) -> int:
        small = [each for each in range(1, isqrt(number) + 1) if number % each == 0]
        return self._one_of([*small, *(number // each for each in small)])

    def step_product(self) -> None:
        if found := self._value(lambda shape: len(shape) > 1):
            name, shape = found
            columns = self._one_of(_CHANNELS)
            self._write("MatMul", [name, self._weights(shape[-1], columns)], (*shape[:-1], columns))

    def step_attention(self) -> None:
        if found := self._value(lambda shape: len(shape) > 2 and shape[-2] <= _MOST_ROWS and shape[-1] <= 64):
            name, shape = found
            order, scores = [*range(len(shape) - 2), len(shape) - 1, len(shape) - 2], (*shape[:-1], shape[-2])
            keys = self._write("Transpose", [name], tuple(shape[axis] for axis in order), perm=order)
            products = self._write("MatMul", [name, keys], scores)
            self._write("MatMul", [self._write("Softmax", [products], scores, axis=-1), name], shape)

    def step_softmax(self) -> None:
        if found := self._value():
            self._write("Softmax", [found[0]], found[1], axis=int(self.rng.integers(len(found[1]))))

    def step_layer_normalization(self) -> None:
        if found := self._value():
            name, shape = found
            scale, shift = self._weights(shape[-1]), self._weights(shape[-1])
            self._write("LayerNormalization", [name, scale, shift], shape, axis=-1)

    def step_batch_normalization(self) -> None:
        if found := self._image():
            name, shape = found
            statistics = [self._weights(shape[1]) for _ in range(3)]
            variance = self._constant((self.rng.random(shape[1]) + 0.5).astype(np.float32))
            self._write("BatchNormalization", [name, *statistics, variance], shape)

    def step_squeeze_and_excitation(self) -> None:
        if found := self._image():
            name, shape = found
            one = (*shape[:2], 1, 1)
            mean = self._write("GlobalAveragePool", [name], one)
            gate = self._write("Conv", [mean, self._weights(shape[1], shape[1], 1, 1)], one)
            self._write("Mul", [name, self._write("Sigmoid", [gate], one)], shape)

    def step_computed_bias(self) -> None:
        if found := self._image():
            name, shape = found
            one = (1, shape[1], 1, 1)
            scaled = self._write("Div", [self._weights(*one), SCALE], one)
            bias = self._write(self._named(("Floor", "Exp", "Tanh")), [scaled], one)
            self._write("Add", [name, bias], shape)

    def step_running_sum(self) -> None:
        if found := self._value():
            axis = self._constant(np.int64(self.rng.integers(len(found[1]))))
            self._write("CumSum", [found[0], axis], found[1])

    def step_lookup(self) -> None:
        if found := self._value():
            name, shape = found
            axis = int(self.rng.integers(len(shape)))
            places = self.rng.integers(0, shape[axis], int(self.rng.integers(1, 6)))
            sizes = (*shape[:axis], len(places), *shape[axis + 1 :])
            self._write("Gather", [name, self._whole(*places)], sizes, axis=axis)

    def step_reduction(self) -> None:
        if found := self._value():
            name, shape = found
            axes = sorted({int(axis) for axis in self.rng.integers(0, len(shape), 2)})
            keeps = len(axes) == len(shape) or self._is_drawn(0.5)
            kept = (1 if place in axes else size for place, size in enumerate(shape))
            left = (size for place, size in enumerate(shape) if place not in axes)
            operator = self._named(("ReduceMean", "ReduceMax", "ReduceSum"))
            self._write(
                operator, [name, self._whole(*axes)], tuple(kept if keeps else left), keepdims=int(keeps)
            )

    def step_choice(self) -> None:
        if found := self._value():
            name, shape = found
            zero, small = self._constant(np.float32(0)), self._constant(np.float32(0.1))
            is_positive = self._write("Greater", [name, zero], ())
            self._write("Where", [is_positive, name, small], shape)
