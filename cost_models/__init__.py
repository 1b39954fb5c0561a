"""Cost models: features, data sets, models of speed and of validity, and their evaluation."""

from cost_models.boosters.validity_model import ValidityModel
from cost_models.boosters.xgboost_cost_model import XGBoostCostModel
from cost_models.cost_model import CostModel
from cost_models.dataset import Dataset
from cost_models.features.config_features import ConfigFeatures

__all__ = ["ConfigFeatures", "CostModel", "Dataset", "ValidityModel", "XGBoostCostModel"]
