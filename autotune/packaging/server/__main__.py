"""Program that serves the model of the package that this folder is part of: `python -m squeezenet.server`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from .application import Limits, ServedModel, application
from .batching import Batching, checked_batching
from .draining import Readiness, serve
from .instance_pool import InstancePool
from .metrics import Metrics
from .options import Options, read_options
from .request_queue import RequestQueue
from .signature import Model, signature

# Kernel threads look so often for work before they sleep. TVM's number is 0.2 s, which the threads of requests, and of
# other instances, would lack.
_SPINS = "2000"


def main(package: Any, options: Options) -> int:
    """Serves until a signal comes; returns the exit code, 0 where every request that ran was answered."""
    try:
        model = signature(package.__name__, package.__version__, package.inputs, package.outputs)
        metrics = Metrics.of(model.model)
        instances = _instances(package, options)
        batching = Batching()
        if options.batch > 1:
            batching = checked_batching(options.batch, _row_counts(package), instances[0], model)
        pool = InstancePool(instances, RequestQueue(options.queue, batching), metrics)
        pool.warm_up(model.largest_inputs())
    except (package.AutotuneError, ValueError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    readiness = Readiness()
    limits = Limits(options.request_secs, options.body_bytes or model.body_bytes())
    served = ServedModel(model, pool, metrics, limits, lambda: readiness.is_ready, (package.Misuse,))
    address = (options.host, options.port)
    serve(application(served), address, options.connections, readiness, options.stop)
    if pool.is_busy:
        sys.stderr.write("error: expected running requests to finish in time; they were cut off\n")
        sys.stderr.flush()
        # Python would wait for the thread of a run.
        os._exit(1)
    return 0


def _instances(package: Any, options: Options) -> list[Model]:
    processors = len(os.sched_getaffinity(0))
    threads = options.threads or max(min(package.metadata.threads, processors // options.instances), 1)
    # Instances have threads of their own already, which no child is forked from.
    first = package.load(threads, package.CallPlace.CALLING_THREAD)
    return [first, *(first.clone() for _ in range(options.instances - 1))]


def _row_counts(package: Any) -> range:
    """The sizes of the first dimension, where all inputs have the same range there."""
    plan = package.metadata.plan
    everywhere = tuple((number, 0) for number in range(len(package.inputs)))
    axes = plan.inputs.axes if plan else ()
    return next((axis.sizes.sizes for axis in axes if axis.places == everywhere), range(0))


def _run(arguments: Sequence[str]) -> int:
    os.environ.setdefault("TVM_THREAD_POOL_SPIN_COUNT", _SPINS)
    package = import_module("..", __package__)
    options = read_options(arguments, os.environ, f"python -m {__package__}")
    return main(package, options)


if __name__ == "__main__":
    sys.exit(_run(sys.argv[1:]))
