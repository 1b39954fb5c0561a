"""Names of a package's module, made from names of files."""

from __future__ import annotations

import hashlib
import keyword
import re
import sys
import unicodedata

_MOST_LETTERS = 60
# What a package needs, what installs it, and what it is likely to run beside: its module must hide none of them.
_TAKEN = {
    *("numpy", "ml_dtypes", "tvm", "tvm_ffi", "typing_extensions"),
    *("pip", "setuptools", "wheel", "pkg_resources", "site", "test", "tests"),
    *("autotune", "cost_models", "search_spaces", "tuning_logs"),
    *("onnx", "onnxruntime", "torch", "tensorflow", "tflite", "pandas", "scipy", "PIL", "cv2"),
    *("starlette", "fastapi", "uvicorn", "anyio", "prometheus_client", "msgspec", "pydantic"),
}
_TAKEN_FOLDED = {name.casefold() for name in (*_TAKEN, *sys.stdlib_module_names, *keyword.kwlist)}


def module_name(stem: str) -> str:
    """A valid, importable name for a model: the letters and digits of its file's name.

    Names that are keywords, or modules of Python or of what a package needs, get the ending `_model`; names that
    lose letters other than accents, or are very long, the beginning of a digest, so that different ones stay so.

    >>> module_name("ResNet-50 v2"), module_name("json"), module_name("3d")
    ('ResNet_50_v2', 'json_model', 'model_3d')
    """
    ascii_name = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode()
    name = re.sub("[^A-Za-z0-9]+", "_", ascii_name).strip("_")
    lost = sum(one.isalnum() and not unicodedata.normalize("NFKD", one)[0].isascii() for one in stem)
    if lost or not name or len(name) > _MOST_LETTERS:
        digest = hashlib.sha256(stem.encode("utf-8", "surrogatepass")).hexdigest()[:8]
        name = "_".join(filter(None, (name[:_MOST_LETTERS].rstrip("_"), digest)))
    if name[0].isdigit():
        name = f"model_{name}"
    return f"{name}_model" if name.casefold() in _TAKEN_FOLDED else name
