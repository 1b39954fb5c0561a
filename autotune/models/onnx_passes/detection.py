"""Operators of object detectors: suppression of overlapping boxes, and features of regions."""

from __future__ import annotations

import numpy as np

from autotune.models.onnx_passes.node import Node, Outputs, Rewrite
from autotune.models.onnx_passes.tensor import Tensor

_FIRST_HALF_PIXEL = 16
# TVM's kernel takes a threshold of 0 for no boxes at all.
_SMALLEST = np.finfo(np.float32).tiny


def non_max_suppression(node: Node) -> Outputs:
    """NonMaxSuppression in the form in which TVM's kernel is that of ONNX.

    ONNX: no threshold of scores where it is left out, an IoU threshold of 0, and no boxes without a number. The
    kernel suppresses from the threshold on, where ONNX does above it, and takes scores up to 0 for suppressed
    boxes: where there may be such, scores are replaced by their ranks.
    """
    boxes, scores = node[0], node[1]
    count = node.integers(2, "max_output_boxes_per_class")
    if not count or count[0] <= 0:
        return [node.graph.constant(np.zeros((0, 3), np.int64))]
    overlap = node.array(3, "iou_threshold")
    limit = np.float32(0 if overlap is None else overlap.item())
    floor = node.get(4)
    is_positive = floor is not None and floor.array is not None and floor.array.item() >= 0
    lowest = floor.array.item() if is_positive and floor is not None and floor.array is not None else 0.0
    return node.graph.add_many(
        "NonMaxSuppression",
        [
            boxes,
            scores if is_positive else _ranks(scores, floor),
            node.graph.integers([min(count[0], boxes.shape[1])]),
            node.graph.constant([max(np.nextafter(limit, np.float32(np.inf)), _SMALLEST)], np.float32),
            node.graph.constant([lowest], np.float32),
        ],
        1,
        center_point_box=node.attribute("center_point_box", 0),
    )


def _ranks(scores: Tensor, floor: Tensor | None) -> Tensor:
    """Positive numbers in the order of the scores; 0 for scores that are not above the floor."""
    count = scores.shape[-1]
    graph = scores.graph
    order = graph.add_many(
        "TopK", [scores, graph.integers([count])], 2, axis=scores.rank - 1, largest=1, sorted=1
    )[1]
    positions = graph.constant(np.broadcast_to(np.arange(count, 0, -1), scores.shape), np.float32)
    zeros = graph.constant(np.zeros(scores.shape), np.float32)
    ranks = graph.add("ScatterElements", zeros, order, positions, axis=scores.rank - 1)
    if floor is None:
        return ranks
    return graph.add("Where", scores > floor.reshape(1, 1, 1), ranks, zeros)


def roi_align(node: Node) -> Outputs:
    """RoiAlign with its regions scaled beforehand: TVM's importer shifts them by half a pixel before it scales."""
    x, rois, batch = node[0], node[1], node[2]
    default = "half_pixel" if node.opset >= _FIRST_HALF_PIXEL else "output_half_pixel"
    mode = node.attribute("coordinate_transformation_mode", default)
    scaled = rois * node.attribute("spatial_scale", 1.0)
    size = (node.attribute("output_height", 1), node.attribute("output_width", 1))
    samples = node.attribute("sampling_ratio", 0)
    if node.attribute("mode", "avg") == "max":
        if not samples:
            raise node.refusal(
                "has mode='max' and sampling_ratio=0", "Export it with a positive sampling_ratio"
            )
        return [
            _max_of_regions(
                x, scaled - 0.5 if mode == "half_pixel" else scaled, batch, (*size, samples, mode)
            )
        ]
    return [
        x.graph.add(
            "RoiAlign",
            x,
            scaled,
            batch,
            mode="avg",
            output_height=size[0],
            output_width=size[1],
            sampling_ratio=samples,
            coordinate_transformation_mode=mode,
        )
    ]


def _max_of_regions(x: Tensor, rois: Tensor, batch: Tensor, form: tuple[int, int, int, str]) -> Tensor:
    """The largest of the weighted corners of all samples, which is what ONNX Runtime's mode `max` computes."""
    height, width, samples, mode = form
    channels, rows, columns = x.shape[1:]
    count = rois.shape[0]
    ys = _corners(rois, (1, 3), (height, samples, rows), mode)
    xs = _corners(rois, (0, 2), (width, samples, columns), mode)
    pixels = x.transpose(0, 2, 3, 1).reshape(-1, channels)
    image = batch.cast(np.int64).reshape(count, 1, 1) * (rows * columns)
    found: Tensor | None = None
    for row, row_weight in ys:
        for column, column_weight in xs:
            flat = image + row.reshape(count, -1, 1) * columns + column.reshape(count, 1, -1)
            weight = row_weight.reshape(count, -1, 1, 1) * column_weight.reshape(count, 1, -1, 1)
            value = pixels.take(flat, 0) * weight
            found = value if found is None else x.graph.add("Max", found, value)
    assert found is not None
    apart = found.reshape(count, height, samples, width, samples, channels)
    return apart.reduce("ReduceMax", [2, 4], 0).transpose(0, 3, 1, 2)


def _corners(
    rois: Tensor, ends: tuple[int, int], size: tuple[int, int, int], mode: str
) -> list[tuple[Tensor, Tensor]]:
    """The two pixels beside each sample along an axis, and their weights: [regions, bins * samples]."""
    bins, samples, length = size
    start, end = rois.slice(1, ends[0], ends[0] + 1), rois.slice(1, ends[1], ends[1] + 1)
    extent = end - start
    if mode != "half_pixel":
        extent = rois.graph.add("Max", extent, rois.operand(1.0))
    steps = (np.arange(bins * samples, dtype=np.float32) + 0.5)[None, :] / samples
    places = start + extent / bins * steps
    is_inside = (places >= -1) & (places <= length)
    within = places.clip(0, length - 1)
    low = within.unary("Floor")
    share = within - low
    inside = is_inside.cast(rois.dtype)
    index = low.cast(np.int64)
    after = (low + 1).clip(0, length - 1).cast(np.int64)
    return [(index, (1 - share) * inside), (after, share * inside)]


REWRITES: dict[str, Rewrite] = {"NonMaxSuppression": non_max_suppression, "RoiAlign": roi_align}
