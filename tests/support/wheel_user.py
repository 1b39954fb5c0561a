"""A program that uses an installed package of a model: module, .npz file with an input and the expected output."""

import importlib
import importlib.util
import sys
import threading

import numpy as np


def main(module: str, arrays: str) -> None:
    """Exits with an error that names what is wrong."""
    for absent in ("autotune", "tvm", "typer", "onnx"):
        assert importlib.util.find_spec(absent) is None, f"{absent} is in the clean environment"
    model = importlib.import_module(module)
    assert "numpy" in sys.modules
    stored = np.load(arrays)
    image, expected = stored["input"], stored["output"]
    found = model.run(image)
    assert np.array_equal(found, expected), "not the outputs of autotune.load"
    assert np.array_equal(model.run(**{model.inputs[0].name: image}), expected)
    assert model.inputs[0].shape == image.shape
    assert model.inputs[0].dtype == str(image.dtype)
    assert [(one.shape, one.dtype) for one in model.outputs] == [(expected.shape, str(expected.dtype))]
    model.self_test()
    assert model.metadata.coverage, "no coverage"
    assert model.metadata.provenance.library_sha256
    for wrong in ((image.astype("float64"),), (image[:, :1],), (), (image, image), ("text",)):
        text = refusal(model, *wrong)
        assert text.startswith("expected ")
        assert "\n" not in text
    with_one = model.load(threads=1)
    clone = with_one.clone(threads=2)
    results = []

    def call(each):
        results.extend(np.array_equal(each(image), expected) for _ in range(20))

    threads = [
        threading.Thread(target=call, args=(each,))
        for each in (model.run, model.run, with_one.run, clone.run)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 80
    sys.stdout.write(f"used {model.__name__}\n")


def refusal(model, *values):
    """The text of the error for wrong inputs, empty where there is none."""
    try:
        model.run(*values)
    except model.Misuse as error:
        return str(error)
    return ""


if __name__ == "__main__":
    main(*sys.argv[1:])
