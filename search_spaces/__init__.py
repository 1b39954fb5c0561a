"""Schedule search spaces: workloads, targets, tasks, decisions, configs, and the spaces that ask for decisions."""

from search_spaces.config import Config
from search_spaces.decision import Answer, Choose, Decision
from search_spaces.errors import AutotuneError, IllegalSchedule, Misuse
from search_spaces.space import Candidate, SearchSpace
from search_spaces.target import Target
from search_spaces.task import TuningTask
from search_spaces.toy_space import ToySpace
from search_spaces.workload import Workload

__all__ = [
    "Answer",
    "AutotuneError",
    "Candidate",
    "Choose",
    "Config",
    "Decision",
    "IllegalSchedule",
    "Misuse",
    "SearchSpace",
    "Target",
    "ToySpace",
    "TuningTask",
    "Workload",
]
