"""Networks of Hugging Face's `transformers` with random weights, exported to ONNX files for `whole_models.py`.

    python benchmarks/exported_networks.py out/networks             # all
    python benchmarks/exported_networks.py out/networks swin bart
    python benchmarks/whole_models.py out/networks/*.onnx --time 0

They are architectures that this project was not made with: backbones, detectors, segmenters, encoders and decoders of
text, of speech and of time series. Needs PyTorch, `transformers` and `onnxscript` in the environment, nothing of this
project. A network that cannot be exported is named, and the exit code is 1 then.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import transformers

_OPSET = 18
_MOST_OUTPUTS = 3


@dataclass(frozen=True)
class Network:
    """A class of `transformers`, its configuration and its inputs by name."""

    name: str
    inputs: Callable[[], dict[str, torch.Tensor]]
    options: Mapping[str, Any] = field(default_factory=dict)
    part: str = ""  # of the network, where not all of it is exported

    def made(self) -> torch.nn.Module:
        """The network with random weights."""
        kind = getattr(transformers, self.name)
        network = kind(kind.config_class(**self.options))
        network.set_attn_implementation("eager")
        return getattr(network, self.part).eval() if self.part else network.eval()


class _Positional(torch.nn.Module):
    """A network that takes its inputs by place, and gives its first outputs as tensors."""

    def __init__(self, network: torch.nn.Module, names: list[str]) -> None:
        super().__init__()
        self.network, self.names = network, names

    def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        found = self.network(**dict(zip(self.names, inputs, strict=True)))
        if isinstance(found, torch.Tensor):
            return (found,)
        return tuple(each for each in found.to_tuple() if isinstance(each, torch.Tensor))[:_MOST_OUTPUTS]


def image(size: int) -> Callable[[], dict[str, torch.Tensor]]:
    """One square image."""
    return lambda: {"pixel_values": torch.randn(1, 3, size, size)}


def tokens(count: int) -> Callable[[], dict[str, torch.Tensor]]:
    """Numbers of so many tokens."""
    return lambda: {"input_ids": torch.randint(0, _VOCABULARY, (1, count))}


def values(name: str, *shape: int) -> Callable[[], dict[str, torch.Tensor]]:
    """One input of that name and shape."""
    return lambda: {name: torch.randn(*shape)}


_VOCABULARY = 2000
_TEXT = {"vocab_size": _VOCABULARY, "hidden_size": 384, "intermediate_size": 1536, "num_attention_heads": 6}
_CAUSAL = {**_TEXT, "intermediate_size": 1024, "num_key_value_heads": 2, "use_cache": False}
_BACKBONE = {
    "embedding_size": 32, "hidden_sizes": [32, 64, 128, 256], "depths": [2, 2, 2, 2], "layer_type": "basic",
    "out_features": ["stage4"],
}  # fmt: skip
_DETR = {
    "use_timm_backbone": False, "use_pretrained_backbone": False, "d_model": 128, "encoder_layers": 3,
    "decoder_layers": 3, "encoder_ffn_dim": 512, "decoder_ffn_dim": 512, "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
}  # fmt: skip
_BART = {
    "d_model": 256, "encoder_layers": 2, "decoder_layers": 2, "encoder_ffn_dim": 1024, "decoder_ffn_dim": 1024,
    "encoder_attention_heads": 4, "decoder_attention_heads": 4, "vocab_size": _VOCABULARY, "use_cache": False,
}  # fmt: skip
_WHISPER = {
    "d_model": 384, "encoder_layers": 4, "decoder_layers": 1, "encoder_attention_heads": 6, "encoder_ffn_dim": 1536,
}  # fmt: skip
NETWORKS: dict[str, Network] = {
    "ast": Network(
        "ASTForAudioClassification",
        values("input_values", 1, 256, 128),
        {
            "hidden_size": 192,
            "num_hidden_layers": 6,
            "num_attention_heads": 3,
            "intermediate_size": 768,
            "max_length": 256,
        },
    ),
    "bart": Network("BartModel", tokens(48), _BART),
    "clip-text": Network("CLIPTextModel", tokens(77), {**_TEXT, "num_hidden_layers": 4}),
    "convnext": Network("ConvNextForImageClassification", image(224)),
    "convnextv2": Network("ConvNextV2ForImageClassification", image(224)),
    "cvt": Network("CvtForImageClassification", image(224)),
    "deberta": Network(
        "DebertaV2Model",
        tokens(128),
        {
            **_TEXT,
            "num_hidden_layers": 4,
            "relative_attention": True,
            "position_buckets": 256,
            "pos_att_type": ["p2c", "c2p"],
        },
    ),
    "detr": Network(
        "DetrForObjectDetection",
        image(320),
        {**_DETR, "backbone_config": transformers.ResNetConfig(**_BACKBONE)},
    ),
    "dinov2": Network(
        "Dinov2Model", image(224), {"hidden_size": 384, "num_attention_heads": 6, "image_size": 224}
    ),
    "gemma": Network("GemmaForCausalLM", tokens(64), {**_CAUSAL, "num_hidden_layers": 3, "head_dim": 64}),
    "glpn": Network("GLPNForDepthEstimation", image(256)),
    "gpt2": Network(
        "GPT2LMHeadModel",
        tokens(64),
        {"n_layer": 4, "n_embd": 384, "n_head": 6, "vocab_size": _VOCABULARY, "use_cache": False},
    ),
    "levit": Network("LevitForImageClassification", image(224)),
    "llama": Network("LlamaForCausalLM", tokens(64), {**_CAUSAL, "num_hidden_layers": 4}),
    "mobilevit": Network("MobileViTForImageClassification", image(256)),
    "patchtst": Network(
        "PatchTSTForPrediction",
        values("past_values", 1, 256, 7),
        {"context_length": 256, "prediction_length": 24, "num_input_channels": 7},
    ),
    "poolformer": Network("PoolFormerForImageClassification", image(224)),
    "pvt": Network("PvtForImageClassification", image(224)),
    "regnet": Network("RegNetForImageClassification", image(224)),
    "segformer": Network("SegformerForSemanticSegmentation", image(256)),
    "swin": Network("SwinForImageClassification", image(224)),
    "swin2sr": Network(
        "Swin2SRForImageSuperResolution",
        image(64),
        {"image_size": 64, "depths": [2, 2], "num_heads": [6, 6], "embed_dim": 60},
    ),
    "t5-encoder": Network(
        "T5EncoderModel",
        tokens(128),
        {"d_model": 384, "d_ff": 1024, "num_layers": 4, "num_heads": 6, "vocab_size": _VOCABULARY},
    ),
    "vitdet": Network(
        "VitDetModel",
        image(256),
        {
            "hidden_size": 192,
            "num_hidden_layers": 4,
            "num_attention_heads": 3,
            "image_size": 256,
            "window_block_indices": [0, 1, 3],
            "window_size": 8,
            "use_relative_position_embeddings": True,
        },
    ),
    "wav2vec2": Network(
        "Wav2Vec2Model",
        values("input_values", 1, 16000),
        {
            "hidden_size": 384,
            "num_hidden_layers": 3,
            "num_attention_heads": 6,
            "intermediate_size": 1536,
        },
    ),
    "whisper-encoder": Network("WhisperModel", values("input_features", 1, 80, 3000), _WHISPER, "encoder"),
}


def export(network: Network, path: Path) -> None:
    """Writes the network, with the same weights each time."""
    torch.manual_seed(0)
    inputs = network.inputs()
    module = _Positional(network.made(), list(inputs))
    with torch.no_grad():
        torch.onnx.export(
            module,
            tuple(inputs.values()),
            path,
            dynamo=True,
            external_data=False,
            verbose=False,
            opset_version=_OPSET,
            input_names=list(inputs),
        )


def main() -> None:
    """Exports the networks that are not in the folder yet."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", metavar="NETWORK", help=f"of {', '.join(NETWORKS)}; default: all")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    options.folder.mkdir(parents=True, exist_ok=True)
    failed = False
    for name in options.names or NETWORKS:
        path = options.folder / f"{name}.onnx"
        if path.exists():
            continue
        try:
            export(NETWORKS[name], path)
            print(f"{name}: {path.stat().st_size >> 20} MiB", flush=True)
        except Exception as error:  # noqa: BLE001 - whatever an exporter raises, the others go on
            print(f"{name}: {type(error).__name__}: {str(error).splitlines()[0]}", flush=True)
            failed = True
    sys.exit(int(failed))


if __name__ == "__main__":
    main()
