"""Forms of packages by their names."""

from __future__ import annotations

from collections.abc import Mapping

from autotune.packaging.archive import Archive
from autotune.packaging.package import PackageForm
from autotune.packaging.server_package import ServerPackage
from autotune.packaging.wheel import Wheel

FORMS: Mapping[str, PackageForm] = {form.name: form for form in (Wheel(), Archive(), ServerPackage())}
