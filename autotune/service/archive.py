"""Archives of a model with its weights, unpacked within limits."""

from __future__ import annotations

import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import Final

from autotune.service.limits import ExaminationLimits
from search_spaces.errors import Misuse

_BLOCK_BYTES: Final = 1 << 20
_MOST_DEPTH: Final = 8
# Below this size no ratio is suspicious: a file of zeros compresses well.
_SMALL_BYTES: Final = 1 << 20
_UNFIT: Final = (
    zipfile.BadZipFile,
    NotImplementedError,
    RuntimeError,
    EOFError,
    ValueError,
    zlib.error,
    FileExistsError,
    IsADirectoryError,
    NotADirectoryError,
)


def unpack(archive: Path, folder: Path, limits: ExaminationLimits) -> None:
    """Unpacks plain files below a folder.

    Raises Misuse for what is no archive, for members whose paths lead elsewhere, for links, and for more than the
    limits allow; sizes are counted while unpacking, whatever the archive says of itself.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            members = [one for one in opened.infolist() if not one.is_dir()]
            if len(members) > limits.members:
                raise _over(f"{len(members)} files", f"at most {limits.members}")
            left = limits.unpacked_bytes
            for member in members:
                left -= _unpack_member(opened, member, folder / _inside(member), left, limits.ratio)
    except _UNFIT as error:
        raise Misuse(
            f"expected an archive that can be unpacked, found: {error}; pack it again with zip, without a password",
            code="AT102",
        ) from error


def _inside(member: zipfile.ZipInfo) -> PurePosixPath:
    name = member.filename
    path = PurePosixPath(name)
    is_link = stat.S_ISLNK(member.external_attr >> 16)
    if (
        path.is_absolute()
        or is_link
        or ".." in path.parts
        or "\\" in name
        or "\0" in name
        or not 1 <= len(path.parts) <= _MOST_DEPTH
    ):
        raise Misuse(
            f"expected plain files in the archive's folders, found {name[:80]!r}; pack the model's folder anew",
            code="AT905",
        )
    return path


def _unpack_member(
    opened: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path, most_bytes: int, ratio: float
) -> int:
    """Unpacks one file, and returns its size."""
    path.parent.mkdir(parents=True, exist_ok=True)
    size = 0
    with opened.open(member) as packed, path.open("xb") as file:
        while block := packed.read(_BLOCK_BYTES):
            size += len(block)
            if size > most_bytes:
                raise _over("more bytes", f"at most {most_bytes} are left for {member.filename[:80]!r}")
            if size > max(_SMALL_BYTES, ratio * member.compress_size):
                raise _over(f"a file that grows more than {ratio:g} times", member.filename[:80])
            file.write(block)
    return size


def _over(found: str, limit: str) -> Misuse:
    return Misuse(f"expected an archive within the limits, found {found}: {limit}", code="AT905")
