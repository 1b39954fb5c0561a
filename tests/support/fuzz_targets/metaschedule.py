"""Folders of MetaSchedule databases: imported in a limited child, as the command does it in a process of its own.

An exception is a fault; a crash is not, as the command reports it.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import traceback
from collections.abc import Iterator
from pathlib import Path

from repository import GOLDEN

from fuzz_targets.edits import edited
from fuzz_targets.limited_child import in_limited_child
from search_spaces.errors import AutotuneError
from tuning_logs.exchange.metaschedule_import import import_metaschedule

_FILES = ("database_workload.json", "database_tuning_record.json")
_WHOLE = {name: (GOLDEN / "metaschedule_matmul" / name).read_bytes() for name in _FILES}


def seeds() -> Iterator[bytes]:
    """The golden records, and edits of both files and of the program in one."""
    yield b"\x00" + _WHOLE[_FILES[1]].splitlines()[0]
    for kind in (0x40, 0x80, 0xC0):
        for number in range(4):
            yield bytes([kind]) + bytes(range(11 * number, 40 + 11 * number))


def read(data: bytes, folder: Path) -> None:
    """Imports a folder with other records, or with edits."""
    kind, data = data[:1], data[1:]
    files = dict(_WHOLE)
    with contextlib.suppress(ValueError, TypeError):
        if kind < b"\x40":
            files[_FILES[1]] = data
        elif kind < b"\x80":
            files[_FILES[1]] = json.dumps(
                edited(json.loads(_WHOLE[_FILES[1]].splitlines()[0]), data)
            ).encode()
        elif kind < b"\xc0":
            files[_FILES[0]] = json.dumps(edited(json.loads(_WHOLE[_FILES[0]]), data)).encode()
        else:
            digest, text = json.loads(_WHOLE[_FILES[0]])
            program = json.dumps(edited(json.loads(base64.b64decode(text)[8:]), data)).encode()
            packed = base64.b64encode(len(program).to_bytes(8, "little") + program).decode()
            files[_FILES[0]] = json.dumps([digest, packed]).encode()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    with contextlib.suppress(AssertionError):
        in_limited_child(lambda: _import(folder))
    raised = folder / "raised"
    assert not raised.exists(), raised.read_text()


def _import(folder: Path) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    try:
        with contextlib.suppress(AutotuneError):
            import_metaschedule(folder, None)
    except Exception:
        (folder / "raised").write_text(traceback.format_exc())
        raise
