"""A prior over a search space's configs from a cost model that was trained on other tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cost_models.cost_model import CostModel
from cost_models.features.program_features import COLUMNS, ProgramFeatures
from search_spaces.config import Config
from search_spaces.tensor_ir.tensor_ir_space import TensorIRSpace
from tuning_logs.records.device_fingerprint import DeviceFingerprint

_SKETCH: Final = "sketch"


class PretrainedPrior:
    """A prior in the sense of `autotune.search.surrogate`: about 0.1 ms a config, and no schedule is built.

    model: trained on `cost_models.features.program_features`.
    """

    def __init__(self, space: TensorIRSpace, device: DeviceFingerprint, model: CostModel) -> None:
        self._features = ProgramFeatures(space.task, device)
        self._sketches = {sketch.name: sketch for sketch in space.sketches}
        self._model = model

    def __call__(self, configs: Sequence[Config]) -> NDArray[np.float64]:
        """(n,) scores, higher is faster; they compare within the task."""
        return self._model.predict(self.features(configs)) if configs else np.zeros(0)

    def features(self, configs: Sequence[Config]) -> NDArray[np.float32]:
        """(n, len(COLUMNS)) of the configs' programs."""
        names = [str(config.by_name.get(_SKETCH)) for config in configs]
        rows = np.empty((len(configs), len(COLUMNS)), dtype=np.float32)
        for name in dict.fromkeys(names):
            places = [place for place, other in enumerate(names) if other == name]
            rows[places] = self._features.matrix(
                self._sketches.get(name), [configs[place] for place in places]
            )
        return rows
