"""`autotune package`: a built model as something to install elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from autotune.cli.arguments import (
    DeviceOption,
    DevicesOption,
    DimOption,
    JsonOption,
    MaxMbOption,
    ModelArgument,
    OptionalLogOption,
    SamplesOption,
    ShapeOption,
)
from autotune.cli.console import print_json, tell, warn
from autotune.cli.coverage_table import coverage_json, coverage_table, warn_of_gaps
from autotune.cli.inputs import log_to_read, reach_device, read_sized_model
from autotune.cli.output_place import require_folder_place
from autotune.cli.tables import print_table
from autotune.deployment.samples import read_samples
from autotune.packaging.assembly import PackageRequest, assembled, check_forms, write_packages
from autotune.packaging.forms import FORMS
from autotune.packaging.package import PackageForm
from search_spaces import Misuse
from tuning_logs.selection.schedule_choice import OtherDevices


def package(
    model: ModelArgument,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="The folder that packages are written to.")
    ],
    form: Annotated[
        list[str], typer.Option("--as", metavar="FORM", help=f"{' or '.join(FORMS)}; repeatable.")
    ],
    log: OptionalLogOption = None,
    device: DeviceOption = "local",
    devices: DevicesOption = None,
    shape: ShapeOption = None,
    dim: DimOption = None,
    max_mb: MaxMbOption = None,
    samples: SamplesOption = None,
    allow_device: Annotated[
        bool, typer.Option("--allow-device", help="Records of other devices may stand in for missing ones.")
    ] = False,
    runtime: Annotated[
        Path | None,
        typer.Option(
            "--runtime",
            metavar="DIR",
            help="TVM's runtime libraries for a device with another kind of processor.",
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Build a model, and package it with what running needs: a Python wheel, a C++ archive, a server."""
    forms = [_form(name) for name in dict.fromkeys(form)]
    require_folder_place(output, "--output")
    where = reach_device(device, devices)
    records = log_to_read(log)
    network = read_sized_model(model, shape, dim, max_mb)
    check_forms(network, forms)
    given = read_samples(samples, network.inputs) if samples else ()
    others = OtherDevices.ALLOWED if allow_device else OtherDevices.REFUSED
    request = PackageRequest(network, where, records, log, given, others, runtime)
    with assembled(request) as found:
        for notice in found.notices:
            warn(notice)
        paths = write_packages(found.contents, forms, output)
    warn_of_gaps(found.build.coverage, found.build.runtime_packs)
    metadata = found.contents.metadata
    if json:
        print_json(
            {
                "packages": [
                    {"form": each.name, "path": str(path), "bytes": path.stat().st_size}
                    for each, path in zip(forms, paths, strict=True)
                ],
                "module": metadata.module,
                "latency_secs": metadata.provenance.latency_secs,
                "threads": metadata.threads,
                "missed_share": metadata.missed_share,
                "coverage": coverage_json(found.build.coverage),
            }
        )
        return
    print_table(coverage_table(found.build.coverage))
    for path in paths:
        tell(f"{path}: {path.stat().st_size / 1e6:.1f} MB")


def _form(name: str) -> PackageForm:
    if name not in FORMS:
        raise Misuse(f"expected --as {' or '.join(FORMS)}; found {name!r}", code="AT805")
    return FORMS[name]
