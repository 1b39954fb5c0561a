"""The assembly in TVM's CUDA C++ as calls of the emulated instructions."""

import re

_ASSEMBLY = re.compile(
    r'(?:__asm__ __volatile__|asm volatile)\s*\((?P<text>(?:\s*"(?:[^"\\]|\\.)*")+)(?P<operands>.*?)\);\n',
    re.DOTALL,
)
_CONSTRAINT = re.compile(r'"=?[rlfn]"\(')

# By PTX's name of an operand's type: C++ types of the operand and of the sum.
_MMA_TYPES = {
    "bf16": ("nv_bfloat16", "float"),
    "f16": ("half", "float"),
    "s8": ("signed char", "int"),
    "tf32": ("tf32", "float"),
}


def with_calls(source: str) -> str:
    """The source without assembly."""
    return _ASSEMBLY.sub(_call, source)


def _call(match: re.Match[str]) -> str:
    text, operands = match["text"], _operands(match["operands"])
    if "ldmatrix" in text:
        *outputs, address = operands
        flag = "true" if ".trans" in text else "false"
        pointers = ", ".join(f"&{one}" for one in outputs)
        return f"{{ unsigned* out[] = {{{pointers}}}; emulated_ldmatrix<{flag}>(out, {address}); }}\n"
    if "mma.sync" in text:
        sums, words, before = operands[:4], operands[4:10], operands[10:]
        kind, total = next(types for name, types in _MMA_TYPES.items() if f".{name}." in text)
        return (
            f"{{ {total}* sums[] = {{{', '.join(f'&{one}' for one in sums)}}}; "
            f"unsigned left[] = {{{', '.join(words[:4])}}}, right[] = {{{', '.join(words[4:])}}}; "
            f"{total} before[] = {{{', '.join(before)}}}; emulated_mma<{kind}>(sums, left, right, before); }}\n"
        )
    if "cp.async.wait_group" in text:
        return f"emulated_wait_group({re.search('wait_group ([0-9]+)', text)[1]});\n"
    if "cp.async.commit_group" in text:
        return "emulated_commit_group();\n"
    if "@p cp.async.c" in text and "@!p st.shared" in text:
        to, start, size, condition, zero = operands
        return f"emulated_cp_async_or({to}, {start}, {size}, {condition}, {zero});\n"
    if "cp.async.c" in text and "@" not in text:
        to, start, size = operands
        return f"emulated_cp_async({to}, {start}, {size});\n"
    if "dp4a" in text:
        # TVM's header for bytes has it, and nothing here calls it.
        return "__builtin_trap();\n"
    raise ValueError(f"no emulation of {text}")


def _operands(text: str) -> list[str]:
    """The expressions in parentheses behind constraints."""
    found = []
    for match in _CONSTRAINT.finditer(text):
        depth, end = 1, match.end()
        while depth:
            depth += {"(": 1, ")": -1}.get(text[end], 0)
            end += 1
        found.append(text[match.end() : end - 1])
    return found
