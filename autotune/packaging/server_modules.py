"""Modules of the HTTP server that is part of every wheel, and the versions that it is tested with."""

from __future__ import annotations

from importlib import resources

#: What the extra `server` of a wheel installs.
SERVER_REQUIREMENTS = ("prometheus_client>=0.21", "starlette>=0.46", "uvicorn>=0.34")
#: What a container installs, with what it brings in.
PINNED_REQUIREMENTS = (
    "anyio==4.16.0",
    "click==8.5.1",
    "h11==0.16.0",
    "idna==3.20",
    "prometheus_client==0.26.0",
    "starlette==1.10.0",
    "typing_extensions==4.16.0",
    "uvicorn==0.54.0",
)


def server_modules() -> dict[str, str]:
    """The text of each module by its file name; they import each other relatively, so that no text changes."""
    folder = resources.files("autotune.packaging").joinpath("server")
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".py"))
    return {name: folder.joinpath(name).read_text("utf-8") for name in names}
