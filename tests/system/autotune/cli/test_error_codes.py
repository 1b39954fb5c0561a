"""Every error code of the registry, raised once."""

from __future__ import annotations

import dataclasses
import errno
import os
import platform
import socket
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import numpy as np
import onnx
import pytest
from comparison_fixtures import make_comparison, make_row
from fake_crew import ENVIRONMENT, Clock, FakeBoard, FakeCrew
from farm_keys import make_farm
from literal_texts import literal_status
from msgspec.structs import replace
from onnx import TensorProto, helper
from package_contents import made_contents
from record_fixtures import make_record
from shelved_model import shelve
from starlette.testclient import TestClient
from tables import table

import autotune
from autotune.boards import tracker
from autotune.boards.entrance import PlainEntrance
from autotune.builders.cuda_callback import machine_code
from autotune.builders.linker import check_link_fault
from autotune.builders.local_builder import LocalBuilder
from autotune.cli.commands import bench, build, capacity
from autotune.cli.commands.log import verify
from autotune.cli.crash_report import crash_report
from autotune.cli.error_codes import find_error_code, read_error_codes
from autotune.cli.job_run import check_success
from autotune.cli.main import app, refusal
from autotune.cli.values import parse_shapes
from autotune.cluster.address import WorkersAddress, parse_workers
from autotune.cluster.coordinator import Coordinator
from autotune.cluster.farm_file import Farm
from autotune.cluster.ray_up import ray_up
from autotune.comparison.capacity_rates import read_capacity
from autotune.comparison.comparison import PairResult
from autotune.deployment import isolated_build, side_by_side
from autotune.deployment.executable import Executable, LibraryFacts
from autotune.deployment.kernel_pool import CallPlace, KernelPool
from autotune.deployment.library import CallContext, Library
from autotune.deployment.model_runner import model_runner
from autotune.deployment.samples import read_samples
from autotune.devices import device as devices
from autotune.devices import roofline_measurement
from autotune.devices.connection import Rpc
from autotune.devices.device_file import find_device
from autotune.devices.opencl import runtime as opencl_runtime
from autotune.devices.rpc_tracker import Address, registered_boards
from autotune.jobs import folder_lock
from autotune.jobs.durations import parse_secs
from autotune.jobs.folder_lock import held
from autotune.jobs.job_file import JobRequest, ModelRequest, read_job_file
from autotune.jobs.plan import JobPlan, PlannedModel, share_out
from autotune.jobs.run import open_job
from autotune.jobs.status_file import read_status, write_status
from autotune.measurement.board_trial import Session
from autotune.models.operators import operator_task
from autotune.packaging.package import stored_arrays
from autotune.packaging.runtime_files import runtime_in
from autotune.packaging.shipped.packaged_model import Package
from autotune.runners import thread_scaling
from autotune.runners.references import References
from autotune.search import samplers
from autotune.search.dashboard import Dashboard
from autotune.service import bookings
from autotune.service.application import make_application
from autotune.service.client import Client
from autotune.service.documents import Examination, JobOrder, ModelOrder, Refusal
from autotune.service.job_queue import Submission
from autotune.service.limits import ServiceLimits
from autotune.service.ordering import submit
from autotune.service.result_documents import PackageDocument, PackageState
from autotune.service.server import ServerSettings, check_access
from autotune.service.service import Service, open_service
from autotune.service.service_folder import ServiceFolder
from autotune.service.site.visitor import Visitor
from autotune.service.token_documents import Scope
from autotune.service.uploads import UploadRequest
from autotune.testing.toy_job import SPACES
from autotune.testing.toy_machine import DEVICE
from autotune.throughput import libraries
from autotune.throughput.inference_protocol import ServerAddress
from autotune.throughput.package_file import ServedPackage
from autotune.throughput.package_server import PackageServer
from autotune.throughput.server_load import inputs_of
from autotune.throughput.serving_setup import ServingSetup
from autotune.transport.identity import Role, read_identity
from autotune.transport.route import Destination, Route, open_stream
from autotune.tuning.budget import Budget
from autotune.tuning.verification import Verification
from autotune.workers.fork_server import ForkServer, WorkerNeeds
from cost_models.boosters.xgboost_cost_model import XGBoostCostModel
from cost_models.dataset import Dataset
from cost_models.evaluation.held_out import HeldOut, splits
from cost_models.program_model import load_program_model
from cost_models.record_table import RecordTable
from search_spaces import AutotuneError, Config, Target, ToySpace
from search_spaces.fork_lock import ForkLock
from search_spaces.tabular_space import TabularSpace
from search_spaces.tensor_ir import modules, tvm_version
from search_spaces.tensor_ir.tensor_ir_space import TensorIRSpace
from tuning_logs import Failure, FailureKind, Timing, TuningLog, read_log
from tuning_logs.exchange.metaschedule_import import import_metaschedule
from tuning_logs.file.merging import merge

CODES = read_error_codes()
LLVM = Target("llvm")


class Case:
    """What a raising test works with: a folder, patches, and the command line."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder, self.patch = folder, patch

    def file(self, name: str, text: str = "") -> Path:
        path = self.folder / name
        path.write_text(text)
        return path

    def log(self) -> Path:
        path = self.folder / "log.jsonl"
        with TuningLog.open(path) as log:
            log.append([make_record()])
        return path

    def model(self, *nodes: onnx.NodeProto, size: int | str = 4) -> Path:
        value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [size]) for name in ("x", "y")]
        graph = helper.make_graph(list(nodes), "made", value[:1], value[1:])
        path = self.folder / "made.onnx"
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
        return path

    def command(self, *arguments: object) -> None:
        app([str(one) for one in arguments], standalone_mode=False)

    def dead_worker(self, module: object) -> None:
        """Has a worker pool of the module answer that its process died."""

        class Pool:
            def __enter__(self) -> Pool:
                return self

            def __exit__(self, *_error: object) -> None:
                pass

            def map(self, calls: list[object]) -> list[object]:
                return [SimpleNamespace(message="the process died")] * len(calls)

        self.patch.setattr(module, "lasting_worker", lambda *_needs: Pool())


RAISING: dict[str, Callable[[Case], object]] = {}


def raises(code: str) -> Callable[[Callable[[Case], object]], Callable[[Case], object]]:
    def add(raising: Callable[[Case], object]) -> Callable[[Case], object]:
        assert code not in RAISING
        RAISING[code] = raising
        return raising

    return add


@pytest.mark.parametrize("code", CODES)
def test_each_code_is_raised(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert code in RAISING, f"add a function that raises {code} to this file"
    with pytest.raises(AutotuneError) as found:
        RAISING[code](Case(tmp_path, monkeypatch))
    assert found.value.code == code, found.value


def test_no_code_is_raised_that_is_not_registered() -> None:
    assert set(RAISING) == set(CODES)


@raises("AT001")
def _(case: Case) -> None:
    raise AutotuneError("unforeseen")


@raises("AT002")
def _(case: Case) -> None:
    case.patch.setattr(tempfile, "tempdir", str(case.folder))
    raise crash_report(ValueError("unforeseen"))


@raises("AT101")
def _(case: Case) -> None:
    autotune.load_model(case.folder / "none.onnx")


@raises("AT102")
def _(case: Case) -> None:
    autotune.load_model(case.file("text.onnx", "this is no model"))


@raises("AT103")
def _(case: Case) -> None:
    autotune.load_model(case.model(helper.make_node("Add", ["x", "cut off"], ["y"])))


@raises("AT104")
def _(case: Case) -> None:
    autotune.load_model(case.model(helper.make_node("Relu", ["x"], ["y"]), size="height"))


@raises("AT105")
def _(case: Case) -> None:
    parse_shapes(["x=1,2"])


@raises("AT106")
def _(case: Case) -> None:
    autotune.load_model(case.model(helper.make_node("Unheard", ["x"], ["y"], name="node")))


@raises("AT107")
def _(case: Case) -> None:
    case.command("tasks")


@raises("AT108")
def _(case: Case) -> None:
    autotune.extract_tasks(autotune.load_model(case.model(helper.make_node("Identity", ["x"], ["y"]))), LLVM)


@raises("AT109")
def _(case: Case) -> None:
    operator_task("matmul:1", LLVM)


@raises("AT110")
def _(case: Case) -> None:
    modules.load("garbage")


@raises("AT111")
def _(case: Case) -> None:
    path = case.model(helper.make_node("Relu", ["x"], ["y"]))
    model = onnx.load(path)
    model.opset_import[0].version = 1000
    path.write_bytes(model.SerializeToString())
    autotune.load_model(path)


@raises("AT112")
def _(case: Case) -> None:
    path = case.model(helper.make_node("Relu", ["x"], ["y"]))
    model = onnx.load(path)
    model.graph.node.append(model.graph.node[0])
    path.write_bytes(model.SerializeToString())
    autotune.load_model(path)


@raises("AT114")
def _(case: Case) -> None:
    read_samples([case.folder / "missing.npz"], ())


@raises("AT113")
def _(case: Case) -> None:
    path = case.model(helper.make_node("Dropout", ["x", "ratio", "training"], ["y"]))
    model = onnx.load(path)
    model.graph.initializer.extend(
        [
            onnx.numpy_helper.from_array(np.array(0.5, np.float32), "ratio"),
            onnx.numpy_helper.from_array(np.array(True), "training"),
        ]
    )
    path.write_bytes(model.SerializeToString())
    autotune.load_model(path)


@raises("AT201")
def _(case: Case) -> None:
    read_log(str(case.folder / "none.jsonl"))


@raises("AT202")
def _(case: Case) -> None:
    autotune.open_log(str(case.folder / "log.jsonl.gz")).append([])


@raises("AT203")
def _(case: Case) -> None:
    with TuningLog.open(case.log()) as first, TuningLog.open(case.folder / "log.jsonl") as second:
        first.append([])
        second.append([])


@raises("AT204")
def _(case: Case) -> None:
    def refuse(*_arguments: object) -> None:
        raise OSError(37, "No locks available")

    case.patch.setattr(folder_lock.fcntl, "flock", refuse)
    with held(case.folder):
        pass


@raises("AT205")
def _(case: Case) -> None:
    body = '{"schema":"99.0","kind":"record"'
    newer = case.file("newer.jsonl", f'{body},"crc":"{zlib.crc32(body.encode()):08x}"}}\n')
    read_log(str(newer))


@raises("AT206")
def _(case: Case) -> None:
    with TuningLog.open(case.log()) as log:
        os.unlink(case.folder / "log.jsonl")
        log.append([make_record(1)])


@raises("AT207")
def _(case: Case) -> None:
    read_log(str(case.log())).append([])


@raises("AT208")
def _(case: Case) -> None:
    merge([case.log()], case.file("there.jsonl"))


@raises("AT209")
def _(case: Case) -> None:
    case.command("log", "push", case.log(), "nowhere")


@raises("AT210")
def _(case: Case) -> None:
    autotune.open_log("sqlite:////nowhere/at/all/log.db").append([])


@raises("AT809")
def _(case: Case) -> None:
    service = open_service(ServiceFolder(case.folder / "service"))
    service.queue.submit(Submission("a name that is no text: \ud800", JobOrder((ModelOrder("m1"),)), None))


@raises("AT810")
def _(case: Case) -> None:
    def refuse(_content: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    Session(Address("127.0.0.1", 1), None, SimpleNamespace(load_library=refuse)).load_library(case.log())


@raises("AT811")
def _(case: Case) -> None:
    without_docstrings = SimpleNamespace(flags=SimpleNamespace(optimize=2))
    with mock.patch("cost_models.boosters.booster.sys", without_docstrings):
        XGBoostCostModel().fit(Dataset.of(table()))


@raises("AT211")
def _(case: Case) -> None:
    case.command("log", "best", case.log(), "--task", "none")


@raises("AT212")
def _(case: Case) -> None:
    import_metaschedule(case.folder, None)


@raises("AT213")
def _(case: Case) -> None:
    failed = Verification(make_record(), Failure(FailureKind.RUN_ERROR, "it crashed"))
    case.patch.setattr(verify, "verified", lambda *_arguments: [failed])
    case.command("log", "verify", case.log(), "--json")


@raises("AT214")
def _(case: Case) -> None:
    with TuningLog.open(case.folder / "log.jsonl") as log:
        log.append([make_record(measurement=Timing((-1.0,), 0.1))])


@raises("AT301")
def _(case: Case) -> None:
    load_program_model(case.folder / "none.ubj")


@raises("AT302")
def _(case: Case) -> None:
    load_program_model(case.file("torn.ubj", "torn"))


@raises("AT303")
def _(case: Case) -> None:
    XGBoostCostModel().fit(Dataset.of(table())).predict(np.zeros((1, 2), np.float32))


@raises("AT304")
def _(case: Case) -> None:
    RecordTable.read([])


@raises("AT305")
def _(case: Case) -> None:
    list(splits(table(), HeldOut.DEVICES))


@raises("AT306")
def _(case: Case) -> None:
    XGBoostCostModel().predict(np.zeros((1, 2), np.float32))


@raises("AT307")
def _(case: Case) -> None:
    card = '[{"target": "llvm -mtriple=aarch64-linux-gnu", "connection": "x", "facts": {"isa": "arm"}}]'
    case.command("estimate", "--op", "matmul:8,8,8", "--device-card", case.file("card.json", card))


@raises("AT308")
def _(case: Case) -> None:
    Dataset(np.zeros(3, np.float32), np.zeros(3), np.zeros(3, np.int64))


@raises("AT401")
def _(case: Case) -> None:
    autotune.parse_device("gopher://x")


@raises("AT402")
def _(case: Case) -> None:
    autotune.local_device(9999)


@raises("AT403")
def _(case: Case) -> None:
    find_device("other", case.file("devices.toml", '[[device]]\nname = "one"\nconnection = "local"\n'))


@raises("AT404")
def _(case: Case) -> None:
    registered_boards(Address("127.0.0.1", 9), "key")


@raises("AT405")
def _(case: Case) -> None:
    case.patch.setattr(devices, "registered_boards", lambda *_arguments: [])
    devices.remote_device(Rpc(Address("127.0.0.1", 9), "key"), LLVM)


@raises("AT406")
def _(case: Case) -> None:
    found = [SimpleNamespace(address=f"board {mhz}", facts={"mhz": mhz}) for mhz in (1, 2)]
    case.patch.setattr(devices, "registered_boards", lambda *_arguments: found)
    devices.remote_device(Rpc(Address("127.0.0.1", 9), "key"), LLVM)


@raises("AT407")
def _(case: Case) -> None:
    case.patch.setattr(devices, "gpu_facts", lambda _index: None)
    devices.cuda_device(7, Target("cuda"))


@raises("AT770")
def _(case: Case) -> None:
    case.patch.setenv("HOME", str(case.folder))
    case.patch.setenv("PATH", str(case.folder))
    opencl_runtime.load_opencl.__wrapped__()


@raises("AT771")
def _(case: Case) -> None:
    case.patch.setattr(devices, "load_opencl", lambda: None)
    case.patch.setattr(devices, "opencl_facts", lambda _index: None)
    devices.opencl_device(99)


@raises("AT772")
def _(case: Case) -> None:
    TensorIRSpace(operator_task("matmul:8,8,8", Target("vulkan")))


@raises("AT408")
def _(case: Case) -> None:
    case.dead_worker(roofline_measurement)
    roofline_measurement.measure_roofline(1)


@raises("AT409")
def _(case: Case) -> None:
    case.patch.setattr(thread_scaling, "_PATIENCE_SECS", 0.0)
    device = SimpleNamespace(threads=2)
    thread_scaling.check_threads(device, SimpleNamespace(thread_speedup=lambda: 0.5))  # type: ignore[arg-type]


@raises("AT410")
def _(case: Case) -> None:
    PlainEntrance(Address("192.0.2.1", 1))


@raises("AT411")
def _(case: Case) -> None:
    Target.parse("-mcpu=znver4")


@raises("AT501")
def _(case: Case) -> None:
    read_job_file(case.file("jobs.toml", "models = 3"))


@raises("AT502")
def _(case: Case) -> None:
    with held(case.folder), held(case.folder):
        pass


@raises("AT503")
def _(case: Case) -> None:
    case.file("status.json", "{")
    read_status(case.folder)


@raises("AT504")
def _(case: Case) -> None:
    case.command("status", case.folder)


@raises("AT505")
def _(case: Case) -> None:
    parse_secs("soon")


@raises("AT506")
def _(case: Case) -> None:
    Dashboard("nonsense://nowhere", "job", lambda _task: ToySpace(64))


@raises("AT507")
def _(case: Case) -> None:
    check_success(replace(literal_status(), tasks=()))


@raises("AT508")
def _(case: Case) -> None:
    model = PlannedModel("model", tuple(SPACES), 1.0, ModelRequest(Path("model.onnx"), "model", ("toy",)))
    request = JobRequest("toys", (), Budget(secs=1.0), str(case.folder / "log.jsonl"))
    with open_job(JobPlan(request, share_out([(DEVICE, [model])]))):
        pass


@raises("AT601")
def _(case: Case) -> None:
    ToySpace(64).apply(Config(()))


@raises("AT602")
def _(case: Case) -> None:
    autotune.TuningJob((), autotune.local_device(1), autotune.Budget(trials=1))


@raises("AT603")
def _(case: Case) -> None:
    task, config = SimpleNamespace(key="key", name="task"), SimpleNamespace(key="config")
    References().unchecked(SimpleNamespace(is_reference=False, task=task, config=config))  # type: ignore[arg-type]


@raises("AT604")
def _(case: Case) -> None:
    TabularSpace(case.file("space.csv", "a,b\n1,2\n"))


@raises("AT701")
def _(case: Case) -> None:
    LocalBuilder(linker="no-such-linker")


@raises("AT702")
def _(case: Case) -> None:
    module = modules.load(operator_task("matmul:8,8,8", LLVM).workload.module)
    autotune.compile(module, LLVM, TuningLog.in_memory())


@raises("AT703")
def _(case: Case) -> None:
    case.dead_worker(isolated_build)
    isolated_build.build_apart(SimpleNamespace(model=Path("model.onnx"), library=case.folder / "x.so"))  # type: ignore[arg-type]


@raises("AT704")
def _(case: Case) -> None:
    case.dead_worker(side_by_side)
    engine = SimpleNamespace(name="engine", open=None)
    side_by_side.measure(engine, side_by_side.TimingSettings((), 1, 1, seed=0))  # type: ignore[arg-type]


@raises("AT705")
def _(case: Case) -> None:
    autotune.load(case.folder / "none.so")


@raises("AT706")
def _(case: Case) -> None:
    wrong = replace(make_row("autotune", [0.001], model="x"), mistake="output 0: off by one")
    compared = make_comparison([wrong])
    result = PairResult(compared.models[0], compared.devices[0], (wrong,), {})
    case.patch.setattr(bench, "compare_each", lambda *_arguments: [result])
    case.command("bench", "x.onnx", "--log", case.log())


@raises("AT707")
def _(case: Case) -> None:
    here = SimpleNamespace(is_here=True, target=LLVM, fingerprint=None, threads=1)
    coverage = SimpleNamespace(rows=(), untuned=(), borrowed=(), missed_share=0.5)
    built = SimpleNamespace(coverage=coverage)
    for name, value in (("reach_device", here), ("read_sized_model", None), ("compile", built)):
        case.patch.setattr(build, name, lambda *_arguments, found=value, **_options: found)
    case.command("build", "x.onnx", "--log", case.log(), "-o", case.folder / "x.so", "--strict", "0.1")


@raises("AT708")
def _(case: Case) -> None:
    model_runner(SimpleNamespace(via=Rpc(Address("127.0.0.1", 1), "gpu"), target=Target.parse("cuda")))  # type: ignore[arg-type]


@raises("AT720")
def _(case: Case) -> None:
    case.command("verdict", case.folder / "none.json", "--latency-ms", "20")


@raises("AT721")
def _(case: Case) -> None:
    case.command("verdict", case.folder / "none.json", "--latency-ms", "-20")


@raises("AT709")
def _(case: Case) -> None:
    def refuse(*_arguments: object) -> None:
        raise ValueError("expected (1, 4), found (2,)")

    library = Library(None, "cpu")
    pool = KernelPool(1, CallPlace.KERNEL_THREAD)
    library._contexts[os.getpid()] = CallContext({"main": refuse}, "cpu", pool, ForkLock())
    Executable(library)(np.zeros(2, np.float32))


@raises("AT715")
def _(case: Case) -> None:
    library = Library(None, "cuda")
    object.__setattr__(library, "_process", -1)
    Executable(library)(np.zeros(2, np.float32))


@raises("AT716")
def _(case: Case) -> None:
    with modules.tvm_target(Target("nvidia/nvidia-a100")):
        machine_code("no CUDA C++")


@raises("AT730")
def _(case: Case) -> None:
    runtime_in(case.folder)


@raises("AT731")
def _(case: Case) -> None:
    metadata = made_contents(case.folder).metadata
    requires = replace(metadata.requires, machine=platform.machine(), cpu_features=("avx4096",))
    Package(case.folder, replace(metadata, requires=requires)).load()


@raises("AT732")
def _(case: Case) -> None:
    contents = made_contents(case.folder)
    np.savez(case.folder / "runs.npz", **stored_arrays(contents.runs))
    package = Package(case.folder, contents.metadata)
    other = SimpleNamespace(run=lambda *_inputs: np.zeros(3, np.float32))
    case.patch.setattr(Package, "model", other)
    package.self_test()


@raises("AT733")
def _(case: Case) -> None:
    autotune.capacity(case.folder, 20.0)


@raises("AT734")
def _(case: Case) -> None:
    (case.folder / "broken" / "server").mkdir(parents=True)
    PackageServer(ServedPackage(case.folder, "broken"), ServingSetup(1, 1))


@raises("AT735")
def _(case: Case) -> None:
    read_capacity(case.folder / "none.json")


@raises("AT740")
def _(case: Case) -> None:
    case.patch.setattr(libraries, "read_facts", lambda _: LibraryFacts(None, None, None, None))
    autotune.capacity(case.folder / "old.so", 20.0)


@raises("AT741")
def _(case: Case) -> None:
    autotune.capacity("x.onnx", 0.0)


@raises("AT742")
def _(case: Case) -> None:
    found = SimpleNamespace(
        runs=(), predicted_per_second=0.0, expected_per_second=0.0, p99_limit_secs=0.02, notices=()
    )
    case.patch.setattr(capacity, "find_capacity", lambda *_: found)
    case.patch.setattr(capacity, "result_document", lambda _: {})
    case.command("capacity", "x.so", "--p99-ms", "20", "--json")


@raises("AT743")
def _(case: Case) -> None:
    autotune.capacity("http://localhost:1", 20.0)


@raises("AT750")
def _(case: Case) -> None:
    parse_workers("ssh://elsewhere")


@raises("AT751")
def _(case: Case) -> None:
    autotune.parse_device("ray:pi4")


@raises("AT752")
def _(case: Case) -> None:
    ray_workers = pytest.importorskip("autotune.cluster.ray_workers")

    def unreachable(**_options: object) -> None:
        raise ConnectionError("ray client connection timeout")

    case.patch.setattr(ray_workers.ray, "init", unreachable)
    ray_workers.RayWorkers(parse_workers("ray://127.0.0.1:1"))


@raises("AT753")
def _(case: Case) -> None:
    unlike = FakeBoard("board", "", environment=dataclasses.replace(ENVIRONMENT, tvm="0.1"))
    Coordinator("boards", FakeCrew([unlike], Clock()), ENVIRONMENT).wait_for_members()


@raises("AT754")
def _(case: Case) -> None:
    clock = Clock()
    Coordinator("boards", FakeCrew([], clock), ENVIRONMENT, clock=clock).wait_for_members()


@raises("AT755")
def _(case: Case) -> None:
    ray_up(Farm("farm", "image", "jobs.toml", ()))


@raises("AT744")
def _(case: Case) -> None:
    inputs_of(ServerAddress("127.0.0.1", 1, "/v2/models/none"))


def _over(case: Case) -> tuple[Client, str]:
    """A client of a service in this process, and a job that is over."""
    service = open_service(ServiceFolder(case.folder / "service"))
    order = JobOrder((ModelOrder(shelve(service)),), trials=1)
    job = service.queue.submit(Submission("m", order, 1.0))
    service.queue.cancel(job)
    write_status(service.folder.output(job), literal_status())
    return _client(service, *Scope), job


@raises("AT745")
def _(case: Case) -> None:
    Visitor("secret", None).check("of another page")


@raises("AT746")
def _(case: Case) -> None:
    client, job = _over(case)
    (case.folder / "service" / "jobs" / job / "out" / "status.json").unlink()
    client.package(job, "wheel")


@raises("AT747")
def _(case: Case) -> None:
    client, job = _over(case)
    client.package(job, "egg")


@raises("AT748")
def _(case: Case) -> None:
    failed = PackageDocument("1", "2", "m", "local", "wheel", PackageState.FAILED, "", None, None, "why")
    _application(case).packaged(failed)


@raises("AT760")
def _(case: Case) -> None:
    read_identity(case.folder)


@raises("AT761")
def _(case: Case) -> None:
    farm = make_farm(case.folder)
    (farm.me / "key.pem").chmod(0o644)
    read_identity(farm.me)


@raises("AT762")
def _(case: Case) -> None:
    read_identity(make_farm(case.folder).late)


@raises("AT763")
def _(case: Case) -> None:
    case.command("serve-device", "--tracker", "127.0.0.1:1", "--key", "k", "--listen", "0.0.0.0:0")


@raises("AT764")
def _(case: Case) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        to = Destination("127.0.0.1", silent.getsockname()[1], Role.TRACKER)
        open_stream(Route(make_farm(case.folder).me), to, 0.1)


@raises("AT765")
def _(case: Case) -> None:
    case.patch.setenv("PATH", str(case.folder))
    open_stream(Route(ssh="board"), Destination("127.0.0.1", 1, Role.TRACKER), 1.0)


@raises("AT766")
def _(case: Case) -> None:
    case.command("keys", "client", "a/b", "--folder", case.folder)


@raises("AT769")
def _(case: Case) -> None:
    case.patch.setattr(tracker, "find_spec", lambda _name: None)
    case.command("serve-tracker", "--listen", "127.0.0.1:0")


@raises("AT801")
def _(case: Case) -> None:
    case.patch.setattr(tvm_version, "_version", lambda _name: "9.9")
    tvm_version.check_tvm_version()


@raises("AT802")
def _(case: Case) -> None:
    case.patch.setattr(samplers, "find_spec", lambda _name: None)
    samplers.sampler_factory(samplers.SamplerKind.CMAES)


@raises("AT803")
def _(case: Case) -> None:
    write_status(case.file("a file") / "folder", literal_status())


@raises("AT804")
def _(case: Case) -> None:
    server = ForkServer("json", {})
    server.close()
    server.fork(WorkerNeeds("json"), [])


@raises("AT805")
def _(case: Case) -> None:
    case.command("log", "show", case.log(), "--json", "--csv")


@raises("AT806")
def _(case: Case) -> None:
    find_error_code("AT999")


@raises("AT807")
def _(case: Case) -> None:
    raise refusal(OSError(errno.EMFILE, "Too many open files", str(case.folder)))


@raises("AT808")
def _(case: Case) -> None:
    check_link_fault("false could not link the kernel: ", "false", case.folder)


def _application(case: Case, *scopes: Scope) -> Client:
    """A client of a service in this process, with a token of these scopes."""
    return _client(open_service(ServiceFolder(case.folder / "service")), *scopes)


def _client(service: Service, *scopes: Scope) -> Client:
    token = service.tokens.create("test", scopes).secret if scopes else None
    browser = TestClient(make_application(service), "http://127.0.0.1:8000")
    return Client("http://127.0.0.1:8000", token, transport=browser._transport)


@raises("AT901")
def _(case: Case) -> None:
    _application(case).jobs()


@raises("AT902")
def _(case: Case) -> None:
    _application(case, Scope.SUBMIT).jobs()


@raises("AT903")
def _(case: Case) -> None:
    _application(case, Scope.READ).job("0123456789ab")


@raises("AT904")
def _(case: Case) -> None:
    tokens = open_service(ServiceFolder(case.folder / "service")).tokens
    made = tokens.create("test", [Scope.READ])
    tokens.revoke(made.token.id)
    tokens.rotate(made.token.id)


@raises("AT905")
def _(case: Case) -> None:
    limits = ServiceLimits(upload_bytes=1)
    open_service(ServiceFolder(case.folder / "service"), limits=limits).uploads.begin(UploadRequest("m", 2))


@raises("AT906")
def _(case: Case) -> None:
    client = _application(case, *Scope)
    client._exchange._http.headers["Sec-Fetch-Site"] = "cross-site"
    client.cancel("0123456789ab")


@raises("AT907")
def _(case: Case) -> None:
    uploads = open_service(ServiceFolder(case.folder / "service")).uploads
    uploads.open(uploads.begin(UploadRequest("m", 2)).id, offset=1)


@raises("AT908")
def _(case: Case) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    Client(f"http://127.0.0.1:{port}", patience_secs=0.0).jobs()


@raises("AT909")
def _(case: Case) -> None:
    check_access(ServerSettings(ServiceFolder(case.folder), host="0.0.0.0", allows_anonymous=True))


@raises("AT910")
def _(case: Case) -> None:
    service = open_service(ServiceFolder(case.folder / "service"))
    upload = service.uploads.begin(UploadRequest("m.onnx", 1))
    file = service.uploads.open(upload.id, 0)
    file.write(b"m")
    file.close()
    service.uploads.complete(upload.id)
    refusal = Refusal("AT910", "a parser crashed")
    service.shelf.note(upload.id, Examination(refusal=refusal, is_complete=True))
    submit(service, JobOrder((ModelOrder(upload.id),), trials=1))


@raises("AT911")
def _(case: Case) -> None:
    _application(case, Scope.SUBMIT).submit(JobOrder((), trials=1))


@raises("AT773")
def _(case: Case) -> None:
    case.command("keys", "authority", "--folder", case.folder / "keys")
    case.command("keys", "revoke", "client-nobody", "--folder", case.folder / "keys")


@raises("AT774")
def _(case: Case) -> None:
    # Ray tries for a minute and a half.
    case.patch.setattr(bookings, "_LOOK_SECS", 0.5)
    bookings.bookings_of(WorkersAddress("ray://256.0.0.1:1"))()
