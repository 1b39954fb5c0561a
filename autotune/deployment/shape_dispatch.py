"""Calls of a built model with dynamic axes: each with the function that was built for its sizes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from autotune.deployment.library import Array, Library, as_returned
from autotune.models.dynamic_inputs import DynamicInputs, Sizes
from autotune.models.input_spec import InputSpec, Shape
from autotune.models.shape_plan import FALLBACK, OutputDim, ShapePlan, function_of
from search_spaces.errors import Misuse

#: The function of a library that returns its shape plan.
PLAN = "shape_plan"
# An error lists no more sizes than these.
_MAX_LISTED = 24
# Kept ways of calls; beyond that they are found anew.
_MAX_ROUTES = 4096


@dataclass(frozen=True, slots=True)
class _Route:
    """The way of a call: the sizes of its axes, the function, and the shapes that its inputs are padded to, if any."""

    sizes: Sizes
    function: str
    padded: tuple[Shape, ...] | None = None


@dataclass(frozen=True, eq=False)
class DynamicExecutable:
    """A built model that takes every size of its axes' ranges; threads may share it.

    Inputs of a size that was not built are padded with zeros up to one that was, where the plan allows it, and go to
    the fallback otherwise.
    """

    library: Library
    plan: ShapePlan
    # Finding a way takes longer than many a small model; threads may both find the same one.
    _routes: dict[Any, _Route] = field(default_factory=dict, init=False, repr=False)

    def __call__(self, *inputs: Array) -> Array | tuple[Array, ...]:
        """The outputs for inputs in the order of the ONNX file: an array, or a tuple where there are several.

        Raises Misuse where the number of inputs, a dtype or a shape is not the model's, and for sizes that nothing in
        the library computes, with those that work.
        """
        arrays = [np.asarray(value) for value in inputs]
        route = self._route(arrays)
        if route.padded is None:
            return as_returned(self.library.run(route.function, arrays))
        enlarged = [_padded(array, shape) for array, shape in zip(arrays, route.padded, strict=True)]
        return as_returned(cut(self.library.run(route.function, enlarged), self.plan.outputs, route.sizes))

    def clone(self, threads: int | None = None) -> DynamicExecutable:
        """A clone for another thread: it shares the weights, and the two need not wait for each other.

        threads: for kernels; by default as many as this one has.
        """
        return DynamicExecutable(self.library.clone(threads), self.plan)

    def _route(self, arrays: Sequence[Array]) -> _Route:
        signature = tuple((array.shape, array.dtype) for array in arrays)
        route = self._routes.get(signature)
        if route is None:
            sizes = sizes_of(self.plan.inputs, arrays)
            route = self._route_to(sizes, self.plan.variant_for(sizes))
            if len(self._routes) >= _MAX_ROUTES:
                self._routes.clear()
            self._routes[signature] = route
        if route.padded is not None and self._has_masks:
            return self._route_past_masks(route, arrays)
        return route

    def _route_to(self, sizes: Sizes, variant: Sizes | None) -> _Route:
        if variant is None and not self.plan.has_fallback:
            raise _unbuilt(self.plan, sizes)
        if variant is None:
            return _Route(sizes, FALLBACK)
        shapes = tuple(spec.shape for spec in self.plan.inputs.at(variant))
        return _Route(sizes, function_of(self.plan, variant), None if variant == sizes else shapes)

    def _route_past_masks(self, route: _Route, arrays: Sequence[Array]) -> _Route:
        """The route where an axis whose mask hides everything is not padded."""
        unpadded = [
            number
            for number, axis in enumerate(self.plan.inputs.axes)
            if not all(np.any(arrays[one], axis.place_in(one)).all() for one in self.plan.masks_of(number))
        ]
        if not unpadded:
            return route
        return self._route_to(route.sizes, self.plan.variant_for(route.sizes, unpadded))

    @cached_property
    def _has_masks(self) -> bool:
        return any(self.plan.masks_of(number) for number in range(len(self.plan.inputs.axes)))


def padded(arrays: Sequence[Array], specs: Sequence[InputSpec]) -> list[Array]:
    """Inputs with zeros up to larger shapes."""
    return [_padded(array, spec.shape) for array, spec in zip(arrays, specs, strict=True)]


def cut(outputs: Sequence[Array], dims: Iterable[OutputDim], sizes: Sizes) -> list[Array]:
    """Outputs for padded inputs without what comes from the padding. sizes: of the axes without it."""
    kept = [[slice(None)] * output.ndim for output in outputs]
    for one in dims:
        kept[one.output][one.dim] = slice(one.at(sizes))
    return [np.array(output[tuple(parts)], order="C") for output, parts in zip(outputs, kept, strict=True)]


def sizes_of(inputs: DynamicInputs, arrays: Sequence[Array]) -> Sizes:
    """The size of each axis in a call's inputs.

    Raises Misuse where the number of inputs, a dtype, or a shape is not the model's.
    """
    found = "; ".join(f"{array.dtype} {array.shape}" for array in arrays) or "none"
    wrong = Misuse(f"expected {inputs}; found {found}", code="AT709")
    if len(arrays) != len(inputs.largest):
        raise wrong
    dims = [(array.ndim, str(array.dtype)) for array in arrays]
    if dims != [(len(spec.shape), spec.dtype) for spec in inputs.largest]:
        raise wrong
    sizes = tuple(arrays[axis.places[0][0]].shape[axis.places[0][1]] for axis in inputs.axes)
    if any(size not in axis.sizes for size, axis in zip(sizes, inputs.axes, strict=True)):
        raise wrong
    if [array.shape for array in arrays] != [spec.shape for spec in inputs.at(sizes)]:
        raise wrong
    return sizes


def _padded(array: Array, shape: Shape) -> Array:
    if array.shape == shape:
        return array
    padded = np.zeros(shape, array.dtype)
    padded[tuple(map(slice, array.shape))] = array
    return padded


def _unbuilt(plan: ShapePlan, sizes: Sizes) -> Misuse:
    names = ", ".join(axis.name for axis in plan.inputs.axes)
    listed = [" x ".join(map(str, one)) for one in sorted(plan.variants)]
    more = f" and {len(listed) - _MAX_LISTED} more" if len(listed) > _MAX_LISTED else ""
    padded = [
        axis.name
        for axis, padding in zip(plan.inputs.axes, plan.paddings, strict=True)
        if padding is not None
    ]
    smaller = f" (or smaller along {', '.join(padded)})" if padded else ""
    return Misuse(
        f"expected sizes of {names} that were built: {', '.join(listed[:_MAX_LISTED])}{more}{smaller}; found "
        f"{' x '.join(map(str, sizes))}. Build the model for that size, with a larger size limit if need be",
        code="AT709",
    )
