"""A look at the devices of a service: which there are, and which of them answer (imports TVM)."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from autotune.devices.device import local_device
from autotune.devices.device_card import DeviceCard
from autotune.devices.device_file import read_devices
from autotune.search.tuned_estimator import TunedEstimator, tuned_estimator
from autotune.service.documents import DeviceDocument, Refusal
from autotune.service.known_devices import KnownDevice
from search_spaces.errors import AutotuneError


def probe(devices_file: Path) -> tuple[KnownDevice, ...]:
    """This machine, and the devices that a file describes, if there is one; boards are asked for their facts.

    Raises Misuse for a file that is wrong.
    """
    here = local_device()
    found = [
        KnownDevice(
            DeviceDocument("local", here.connection, None, str(here.target)), dict(here.fingerprint.facts)
        )
    ]
    for described in read_devices(devices_file) if os.path.exists(devices_file) else ():
        target = str(described.target) if described.target else None
        document = DeviceDocument(described.name, described.connection, described.price_per_hour, target)
        try:
            device = described.reach()
        except AutotuneError as error:
            found.append(KnownDevice(replace(document, refusal=Refusal(error.code, str(error))), None))
            continue
        document = replace(document, target=str(device.target))
        found.append(KnownDevice(document, dict(device.fingerprint.facts)))
    return tuple(found)


def estimator_of(known: KnownDevice) -> TunedEstimator | Refusal:
    """The estimator of a device, or the reason why there is none."""
    document = known.document
    if known.facts is None or document.target is None:
        return document.refusal or Refusal("AT405", f"{document.name} does not answer")
    try:
        return tuned_estimator(DeviceCard(document.target, document.connection, known.facts).device())
    except AutotuneError as error:
        return Refusal(error.code, str(error))
