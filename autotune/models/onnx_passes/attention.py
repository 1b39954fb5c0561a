"""Attention of ONNX Runtime as matrix products and a softmax."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from autotune.models.onnx_passes.node import Node, Outputs, Rewrite
from autotune.models.onnx_passes.quantization import projected
from autotune.models.onnx_passes.tensor import Tensor

_REMEDY = "Export the model without ONNX Runtime's graph optimizations"


@dataclass(frozen=True)
class Heads:
    """Queries, keys and values: [batch, heads, length, size]."""

    queries: Tensor
    keys: Tensor
    values: Tensor


def attention(node: Node) -> Outputs:
    """Attention of ONNX Runtime: projections with one weight, the past before the new keys and values."""
    _refuse(node, attributes=("do_rotary", "past_present_share_buffer"), places=(6,))
    x, weight, bias = node[0], node[1], node.get(2)
    packed = x @ weight if bias is None else x @ weight + bias
    sizes = node.attribute("qkv_hidden_sizes") or [weight.shape[1] // 3] * 3
    return _attended_to_past(node, packed, sizes, (node.get(3), node.get(4), node.get(5)))


def quantized_attention(node: Node) -> Outputs:
    """QAttention of ONNX Runtime: the projections of integers are exact."""
    _refuse(node, attributes=("do_rotary", "past_present_share_buffer"))
    packed = projected(node[0], node[1], node.get(6), node.get(7)) * (node[3] * node[4]) + node[2]
    sizes = [node[1].shape[1] // 3] * 3
    return _attended_to_past(node, packed, sizes, (node.get(5), node.get(8), None))


def _attended_to_past(
    node: Node, packed: Tensor, sizes: list[int], options: tuple[Tensor | None, Tensor | None, Tensor | None]
) -> Outputs:
    """options: the mask, the past, and the bias of the scores."""
    mask, past, bias = options
    count = node.attribute("num_heads")
    ends = np.cumsum(sizes)
    parts = [
        _heads(packed.slice(2, int(end) - size, int(end)), count)
        for end, size in zip(ends, sizes, strict=True)
    ]
    if past is not None:
        parts[1:] = [
            node.graph.add("Concat", past.index(0, place), part, axis=2)
            for place, part in enumerate(parts[1:])
        ]
    heads = Heads(*parts)
    result = _attended(node, heads, mask, bias)
    if not node.has_output(1):
        return [result]
    wide = [part.reshape(1, *part.shape) for part in (heads.keys, heads.values)]
    return [result, node.graph.add("Concat", *wide, axis=0)]


def multi_head_attention(node: Node) -> Outputs:
    """MultiHeadAttention of ONNX Runtime with queries, keys and values apart."""
    _refuse(node, places=(8, 9))
    query, key, value, bias = node[0], node.get(1), node.get(2), node.get(3)
    if query.rank != 3 or key is None or value is None:
        raise node.refusal("has packed queries, keys or values", _REMEDY)
    count, start, parts = node.attribute("num_heads"), 0, []
    for each in (query, key, value):
        width = each.shape[2] if each.rank == 3 else each.shape[1] * each.shape[3]
        if bias is not None and each.rank == 3:
            each = each + bias.slice(0, start, start + width)
        start += width
        parts.append(_heads(each, count) if each.rank == 3 else each)
    for place in (1, 2):
        past = node.get(place + 5)
        if past is not None:
            parts[place] = node.graph.add("Concat", past, parts[place], axis=2)
    heads = Heads(*parts)
    outputs = [_attended(node, heads, node.get(4), node.get(5)), heads.keys, heads.values, None]
    return outputs[: len(node.proto.output)]


def _heads(x: Tensor, count: int) -> Tensor:
    """[batch, length, hidden] as [batch, heads, length, size]."""
    return x.reshape(*x.shape[:2], count, x.shape[2] // count).transpose(0, 2, 1, 3)


def _attended(node: Node, heads: Heads, mask: Tensor | None, bias: Tensor | None) -> Tensor:
    """The values weighted by the softmax of the scores: [batch, length, hidden]."""
    queries, keys, values = heads.queries, heads.keys, heads.values
    scale = node.attribute("scale", 0.0) or queries.shape[-1] ** -0.5
    scores = (queries @ keys.transpose(0, 1, 3, 2)) * scale
    if mask is not None:
        scores = scores + _masked(node, mask, scores)
    if bias is not None:
        scores = scores + bias
    if node.attribute("unidirectional", 0):
        length, total = scores.shape[-2:]
        is_later = np.arange(total)[None, :] > np.arange(length)[:, None] + (total - length)
        lowest = scores.operand(np.finfo(scores.dtype).min)
        scores = node.graph.add("Where", node.graph.constant(is_later), lowest, scores)
    found = node.graph.add("Softmax", scores, axis=-1) @ values
    return found.transpose(0, 2, 1, 3).reshape(found.shape[0], found.shape[2], -1)


def _masked(node: Node, mask: Tensor, scores: Tensor) -> Tensor:
    """The summand of the scores for a mask: by the length of each sequence, or by element."""
    batch, _, length, total = scores.shape
    if mask.rank == 1 and mask.size in (batch, 2 * batch):
        places = node.graph.constant(np.arange(total)[None, :], mask.dtype)
        is_kept = places < mask.slice(0, 0, batch).reshape(batch, 1)
        if mask.size == 2 * batch:
            is_kept = is_kept & (places >= mask.slice(0, batch, 2 * batch).reshape(batch, 1))
        is_kept = is_kept.reshape(batch, 1, 1, total)
    elif mask.shape in ((batch, total), (batch, length, total)):
        is_kept = (mask > 0).reshape(batch, 1, *mask.shape[1:-1], *[1] * (3 - mask.rank), total)
    else:
        raise node.refusal(f"has a mask of shape {mask.shape}", _REMEDY)
    filling = scores.operand(node.attribute("mask_filter_value", -10000.0))
    return node.graph.add("Where", is_kept, scores.operand(0), filling)


def rotary_embedding(node: Node) -> Outputs:
    """RotaryEmbedding of ONNX Runtime: pairs of elements turned by the angle of their position."""
    _refuse(node, attributes=("is_packed_batching",))
    if node.attribute("scale", 1.0) != 1:
        raise node.refusal("has a scale", _REMEDY)
    x, positions, cosines, sines = node[0], node[1], node[2], node[3]
    count = node.attribute("num_heads", 0)
    size = (
        x.shape[2] // count if count and x.rank == 3 else x.shape[-1] if x.rank == 4 else 2 * cosines.shape[1]
    )
    heads = x if x.rank == 4 else x.reshape(*x.shape[:2], -1, size).transpose(0, 2, 1, 3)
    length = heads.shape[2]
    if positions.size == 1 and positions.rank == 1:
        positions = positions + np.arange(length)
    angles = [table.take(positions, 0).reshape(-1, 1, length, cosines.shape[1]) for table in (cosines, sines)]
    turned = 2 * cosines.shape[1]
    result = _turned(heads.slice(3, 0, turned), angles[0], angles[1], bool(node.attribute("interleaved", 0)))
    if turned < size:
        result = node.graph.add("Concat", result, heads.slice(3, turned, size), axis=3)
    return [result if x.rank == 4 else result.transpose(0, 2, 1, 3).reshape(*x.shape)]


def _turned(x: Tensor, cosine: Tensor, sine: Tensor, is_interleaved: bool) -> Tensor:
    half = x.shape[-1] // 2
    if not is_interleaved:
        first, second = x.slice(3, 0, half), x.slice(3, half, None)
        parts = [first * cosine - second * sine, second * cosine + first * sine]
        return x.graph.add("Concat", *parts, axis=3)
    pairs = x.reshape(*x.shape[:3], half, 2)
    first, second = pairs.index(4, 0), pairs.index(4, 1)
    parts = [
        part.reshape(*part.shape, 1)
        for part in (first * cosine - second * sine, second * cosine + first * sine)
    ]
    return x.graph.add("Concat", *parts, axis=4).reshape(*x.shape)


def embed_layer_normalization(node: Node) -> Outputs:
    """EmbedLayerNormalization of ONNX Runtime: the normalized sum of the embeddings of words, places and segments."""
    ids, segments, words, places = node[0], node.get(1), node[2], node[3]
    given = node.get(8)
    position = places.slice(0, 0, ids.shape[1]) if given is None else places.take(given, 0)
    total = words.take(ids, 0) + position
    if segments is not None:
        total = total + node[4].take(segments, 0)
    spread = total - total.mean([-1])
    inverse = 1 / ((spread * spread).mean([-1]) + node.attribute("epsilon", 1e-12)).unary("Sqrt")
    y = spread * inverse * node[5] + node[6]
    mask = node.get(7)
    lengths = (
        node.graph.constant(np.zeros(ids.shape[0], np.int32))
        if mask is None
        else mask.equals(1).cast(np.int32).sum([1], keepdims=0)
    )
    return [y, lengths, total][: len(node.proto.output)]


def _refuse(node: Node, attributes: tuple[str, ...] = (), places: tuple[int, ...] = ()) -> None:
    """Raises Misuse for attributes that are on and inputs that are given, and that are not compiled."""
    found = [name for name in attributes if node.attribute(name, 0)]
    found += [f"input {place}" for place in places if node.has(place)]
    if found:
        raise node.refusal(f"has {found[0]}", _REMEDY)


REWRITES: dict[str, Rewrite] = {
    "com.microsoft.Attention": attention,
    "com.microsoft.QAttention": quantized_attention,
    "com.microsoft.MultiHeadAttention": multi_head_attention,
    "com.microsoft.RotaryEmbedding": rotary_embedding,
    "com.microsoft.EmbedLayerNormalization": embed_layer_normalization,
}
