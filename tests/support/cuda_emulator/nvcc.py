"""In nvcc's place: CUDA C++ to a shared library for the emulated driver, with a report as ptxas gives it."""

import re
import subprocess
import sys
from pathlib import Path

from ptx import with_calls

KERNEL = re.compile(r'extern "C" __global__ void (?:__launch_bounds__\(\d+\) )?(\w+)\(([^)]*)\)\s*\{')

SHARED = re.compile(r"__shared__ (alignas\(\d+\))")
DYNAMIC = re.compile(r"extern __shared__ __align__\(\d+\) uchar (\w+)\[\];")


def main(arguments: list[str]) -> int:
    """Takes what nvcc is given here: -cubin … -o CUBIN SOURCE."""
    output, source = Path(arguments[arguments.index("-o") + 1]), Path(arguments[-1])
    # A C++ compiler wants an alignment first.
    text = SHARED.sub(r"\1 static", source.read_text())
    text = with_calls(DYNAMIC.sub(r"uchar* \1 = emulated_shared;", text))
    for name, parameters in KERNEL.findall(text):
        text += f'\nextern "C" {{ extern const int {name}_parameters = {len(parameters.split(","))}; }}\n'
        sys.stderr.write(f"ptxas info    : Compiling entry function '{name}'\n")
        sys.stderr.write("ptxas info    : Used 32 registers, used 1 barriers, 2048 bytes smem\n")
        sys.stderr.write("    0 bytes stack frame, 8 bytes spill stores, 8 bytes spill loads\n")
    command = ["c++", "-O1", "-w", "-shared", "-fPIC", "-x", "c++", f"-I{Path(__file__).parent}"]
    return subprocess.run([*command, "-o", str(output), "-"], input=text.encode(), check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
