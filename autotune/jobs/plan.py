"""The plan of a job: for each device the models to tune on it, and their tasks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from autotune.deployment.shape_planning import open_model
from autotune.devices.device import Device
from autotune.jobs.job_file import JobRequest, ModelRequest
from autotune.jobs.status_file import read_status
from autotune.models.algorithm_choice import other_forms
from autotune.models.dynamic_model import DynamicModel
from autotune.models.task_extraction import extract_tasks, tasks_of_variants, tasks_together
from autotune.runners.thread_choice import patience_secs, with_fastest_threads, with_threads
from autotune.runners.workers import Workers
from autotune.search.pretrained_model import PretrainedModel, load_pretrained
from autotune.search.samplers import SamplerKind, sampler_factory, without_prior
from autotune.tuning.budget import Budget
from autotune.tuning.objective import ModelShare
from autotune.tuning.tuning_job import TuningJob
from autotune.workers.fork_server import ForkServer
from search_spaces import AutotuneError, SearchSpace, TuningTask
from search_spaces.tensor_ir.modules import moved_bytes
from search_spaces.tensor_ir.tensor_ir_space import TensorIRSpace


@dataclass(frozen=True)
class PlannedModel:
    """A model, or one operator, and its tasks on a device; request: None for an operator, which is not built.

    variants: the tasks of each size that is built of a model with dynamic axes, whose `tasks` are those of all.
    """

    name: str
    tasks: tuple[TuningTask, ...]
    priority: float = 1.0
    request: ModelRequest | None = None
    variants: tuple[tuple[TuningTask, ...], ...] = ()

    @property
    def objectives(self) -> tuple[ModelShare, ...]:
        """The shares of the objective: of the model, or of each size that is built, so that all sizes get faster."""
        if not self.variants:
            return (self.share,)
        priority = self.priority / len(self.variants)
        return tuple(
            ModelShare(self.name, {task.key: task.weight for task in tasks}, priority)
            for tasks in self.variants
        )

    @property
    def share(self) -> ModelShare:
        """The model's tasks with their weights, and its priority, for the scheduler."""
        return ModelShare(self.name, {task.key: task.weight for task in self.tasks}, self.priority)


@dataclass(frozen=True)
class DevicePlan:
    """A device and the models to tune on it; share: its part of the job's budget, 0 to 1."""

    device: Device
    models: tuple[PlannedModel, ...]
    share: float

    @property
    def tasks(self) -> tuple[TuningTask, ...]:
        """The tasks of all models, one that several have in common once, with the calls of all."""
        return tasks_together(model.tasks for model in self.models)

    @property
    def is_remote(self) -> bool:
        """Whether the device is another machine, where no rooflines are measured."""
        return not self.device.is_here


def _moved_bytes(task: TuningTask) -> int | None:
    try:
        return moved_bytes(task.workload.module)
    except AutotuneError:  # spaces of others have modules of their own kind
        return None


@dataclass(frozen=True)
class JobPlan:
    """A request with its models and devices loaded.

    notices: of its models and devices, see `Model`; moved_bytes: the size of a task's inputs and outputs, None where it
    is not known.
    """

    request: JobRequest
    devices: tuple[DevicePlan, ...]
    space: Callable[[TuningTask], SearchSpace] = TensorIRSpace
    notices: tuple[str, ...] = ()
    moved_bytes: Callable[[TuningTask], int | None] = _moved_bytes

    def pretrained(self, device: Device) -> PretrainedModel | None:
        """The cost model that guides the search on a device from the first trial on; None where there is none.

        Raises Misuse as `load_pretrained` does.
        """
        if self.request.sampler is not SamplerKind.COST_MODEL:
            return None
        return load_pretrained(self.request.cost_model, device)

    def time_share(self, part: DevicePlan) -> float:
        """A device's share of the search's time: 1 for boards, which measure in parallel; the devices of this machine
        share its time by the budget."""
        here = sum(one.share for one in self.devices if not one.is_remote)
        return 1.0 if part.is_remote else part.share / here

    def job_of(self, part: DevicePlan, secs: float | None) -> TuningJob:
        """The tuning job of a device; secs: its time, None without a limit."""
        request, pretrained = self.request, self.pretrained(part.device)
        return TuningJob(
            part.tasks,
            part.device,
            self.budget_of(part, secs),
            request.seed,
            request.batch,
            space=self.space,
            sampler=sampler_factory(request.sampler, pretrained.prior if pretrained else without_prior),
            sampler_name=request.sampler.value,
            models=tuple(share for model in part.models for share in model.objectives),
            rounds_at_once=request.rounds_at_once,
        )

    def budget_of(self, part: DevicePlan, secs: float | None) -> Budget:
        """A device's part of the budget; secs: what is left of the device's time, None where it has no limit."""
        whole = self.request.budget
        trials = None if whole.trials is None else max(round(whole.trials * part.share), 1)
        return Budget(trials, secs, whole.gain_per_hour)


def plan_job(
    request: JobRequest, server: ForkServer | None = None, workers: Workers | None = None
) -> JobPlan:
    """Loads the models of a request, chooses the number of threads of `local`, and extracts the models' tasks.

    Devices that are one and the same, whatever they are called, are one; each gets the part of the budget that the
    priorities of its models are of all. server: forks the processes that measure threads; workers: reach the devices of
    a cluster. Raises Misuse as `load_model` does, and AutotuneError where a device cannot be reached.
    """
    planned: dict[tuple[str, str], tuple[Device, list[PlannedModel]]] = {}
    notices: list[str] = []
    reached: dict[str, Device] = {}
    for wanted in request.models:
        module = open_model(wanted.path, wanted.shapes, wanted.dims, wanted.max_mb)
        notices += module.notices
        plan = module.plan if isinstance(module, DynamicModel) else None
        fixed = replace(wanted, shapes=module.shapes, dims={}, plan=plan)
        for url in wanted.devices:
            if url not in reached:
                reached[url] = reach(request, url, server, workers)
            device = reached[url]
            notices += [device.notice] if device.notice else []
            _, models = planned.setdefault((device.fingerprint.key, str(device.target)), (device, []))
            if any(model.name == wanted.name for model in models):
                continue
            variants = tasks_of_variants(module, device.target) if isinstance(module, DynamicModel) else ()
            called = tasks_together(variants) or extract_tasks(module, device.target)
            tasks = tasks_together((called, other_forms(module, device.target)))
            models.append(PlannedModel(wanted.name, tasks, wanted.priority, fixed, variants))
    return JobPlan(request, share_out(list(planned.values())), notices=tuple(dict.fromkeys(notices)))


def reach(
    request: JobRequest, url: str, server: ForkServer | None = None, workers: Workers | None = None
) -> Device:
    """A device of a job; `local` with the threads of the job's earlier runs, or else those that are fastest here.

    Raises AutotuneError where it cannot be reached.
    """
    device = request.reach(url, workers)
    earlier = read_status(request.output) if request.output else None
    for known in earlier.devices if earlier else ():
        if known.connection == device.connection == "local" and known.threads < device.threads:
            # The trials of another number of threads would not count, and the budget would begin anew.
            as_before = with_threads(device, known.threads)
            if as_before.fingerprint.key == known.fingerprint:
                count = f"{known.threads} thread{'' if known.threads == 1 else 's'}"
                return replace(as_before, notice=f"{count}, as in the job's earlier runs")
    return with_fastest_threads(device, patience_secs(request.budget.secs), server)


def share_out(device_runs: Sequence[tuple[Device, Sequence[PlannedModel]]]) -> tuple[DevicePlan, ...]:
    """Plans of devices, with budgets in proportion to the priorities of their models."""
    total = sum(model.priority for _, models in device_runs for model in models)
    return tuple(
        DevicePlan(device, tuple(models), sum(model.priority for model in models) / total)
        for device, models in device_runs
    )
