"""Makes the small PyTorch and TFLite models of tests/golden/models, with inputs and the outputs of their own runtimes.

Run it once for each framework, in an environment that has it, from the project's root:
`python scripts/small_models.py torch` or `python scripts/small_models.py tflite`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path("tests/golden/models")


def save_torch() -> None:
    """A network with residuals, batch norms and a hard swish, and a decoder-only transformer with token ids."""
    import torch
    from torch import nn

    class Residual(nn.Module):
        """Convolutions with batch norms, one of them grouped, and an average."""

        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
            self.depthwise = nn.Sequential(
                nn.Conv2d(8, 8, 3, 1, 1, groups=8), nn.BatchNorm2d(8), nn.Hardswish()
            )
            self.head = nn.Linear(8, 10)

        def forward(self, image: Any) -> Any:
            """Scores of ten classes."""
            stem = self.stem(image)
            return self.head((stem + self.depthwise(stem)).mean((2, 3)))

    class Decoder(nn.Module):
        """One block with causal attention over 16 tokens."""

        def __init__(self, width: int = 16, heads: int = 2, tokens: int = 16) -> None:
            super().__init__()
            self.heads = heads
            self.embedding = nn.Embedding(32, width)
            self.place = nn.Parameter(torch.randn(tokens, width) / 4)
            self.norm, self.last_norm = nn.LayerNorm(width), nn.LayerNorm(width)
            self.projection, self.mix = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.feed = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

        def forward(self, ids: Any) -> Any:
            """Scores of the next token at each place."""
            x = self.embedding(ids) + self.place
            parts = self.projection(self.norm(x)).chunk(3, -1)
            shape = (*ids.shape, self.heads, -1)
            query, key, value = (part.view(shape).transpose(1, 2) for part in parts)
            mixed = nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)
            x = x + self.mix(mixed.transpose(1, 2).reshape(x.shape))
            return self.last_norm(x + self.feed(x)) @ self.embedding.weight.T

    torch.manual_seed(0)
    for module, name, example in (
        (Residual(), "residual", torch.randn(1, 3, 16, 16)),
        (Decoder(), "decoder", torch.randint(0, 32, (1, 16))),
    ):
        for part in module.modules():
            if isinstance(part, nn.BatchNorm2d):
                nn.init.normal_(part.running_mean, 0, 0.3)
                nn.init.uniform_(part.running_var, 0.5, 2)
                nn.init.uniform_(part.weight, 0.5, 2)
        program = torch.export.export(module.eval(), (example,))
        torch.export.save(program, str(FOLDER / f"{name}.pt2"))
        with torch.no_grad():
            np.savez_compressed(FOLDER / f"{name}.npz", inputs=example, outputs=module(example))


def save_tflite() -> None:
    """One network of convolutions, with floats and with integers of 8 bits."""
    import tensorflow as tf

    tf.keras.utils.set_random_seed(0)
    layers = tf.keras.layers
    x = image = tf.keras.Input((16, 16, 3), batch_size=1, name="image")
    x = layers.ReLU(6.0)(
        layers.BatchNormalization()(layers.Conv2D(8, 3, strides=2, padding="same", name="stem")(x))
    )
    x = layers.ReLU(6.0)(layers.DepthwiseConv2D(3, padding="same")(x))
    x = layers.Add()([x, layers.Conv2D(8, 1)(x)])
    x = layers.Dense(10, activation="softmax", name="head")(layers.GlobalAveragePooling2D()(x))
    rng = np.random.default_rng(0)
    images = [rng.standard_normal((1, 16, 16, 3)).astype(np.float32) for _ in range(32)]
    plain = tf.lite.TFLiteConverter.from_keras_model(tf.keras.Model(image, x))
    _save_tflite("float", plain.convert(), images[0])
    quantized = tf.lite.TFLiteConverter.from_keras_model(tf.keras.Model(image, x))
    quantized.optimizations = [tf.lite.Optimize.DEFAULT]
    quantized.representative_dataset = lambda: ([each] for each in images)
    quantized.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    quantized.inference_input_type = quantized.inference_output_type = tf.int8
    _save_tflite("int8", quantized.convert(), rng.integers(-128, 128, (1, 16, 16, 3)).astype(np.int8))


def _save_tflite(name: str, content: bytes, inputs: np.ndarray) -> None:
    import tensorflow as tf

    (FOLDER / f"{name}.tflite").write_bytes(content)
    interpreter = tf.lite.Interpreter(model_content=content)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], inputs)
    interpreter.invoke()
    outputs = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    np.savez_compressed(FOLDER / f"{name}.npz", inputs=inputs, outputs=outputs)


if __name__ == "__main__":
    {"torch": save_torch, "tflite": save_tflite}[sys.argv[1]]()
