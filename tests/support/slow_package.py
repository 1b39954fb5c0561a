"""A package of a model that is made up and takes as long as its input says; it ships the real server."""

import time
from enum import Enum
from types import SimpleNamespace

__version__ = "1.0"


class AutotuneError(Exception):
    """Any fault."""


class Misuse(AutotuneError):
    """A fault of inputs."""


class CallPlace(Enum):
    """Where calls are made."""

    CALLING_THREAD = "calling thread"


class Model:
    """A model that sleeps for as many seconds as its input says, and returns it."""

    def run(self, secs):
        """The input, after a while."""
        if secs[0] < 0:
            raise Misuse("expected a time from 0 on; found another")
        time.sleep(secs[0])
        return secs

    def clone(self):
        """Another one."""
        return Model()


def load(threads, place):
    """The model."""
    assert threads >= 1
    assert place is CallPlace.CALLING_THREAD
    return Model()


metadata = SimpleNamespace(threads=2)
inputs = (SimpleNamespace(name="secs", shape=(1,), dtype="float64", sizes=()),)
outputs = (SimpleNamespace(name="slept", shape=(1,), dtype="float64", sizes=()),)
