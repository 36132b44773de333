"""The cores, compilers, flags and bodies with which `kernels` measures."""

import importlib.util
import shutil
import sys
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from machines import KERNELS, CortexM, QemuCortexM

from benchmarks.rows import versions
from tflm_reds.codegen.toolchain import Compiler, target_compiler
from tflm_reds.sim.qemu import find_qemu

ARDUINO = ("-Os", "-funsigned-char", "-mfloat-abi=softfp")
PLAIN = ("-DREDS_PLAIN_C",)
TUNED_CORES = ("cortex-m4f", "cortex-m7f", "cortex-m33f", "cortex-m55f")  # have bodies of their own
QEMU_CORE = "cortex-m55f"


@dataclass(frozen=True)
class Configuration:
    """A core, a compiler ("gcc" or "zig"), flags beside the default ones, and which body runs."""

    core: str = "cortex-m4f"
    compiler: str = "gcc"
    flags: tuple[str, ...] = ()
    body: str = "tuned"

    def machine(self, folder: Path) -> AbstractContextManager[CortexM | QemuCortexM]:
        """The machine with all kernels.

        Raises:
            ToolchainError: if QEMU is missing for the core that only it has.
        """
        flags = (*self.flags, *(PLAIN if self.body == "plain" else ()))
        arguments = {"flags": flags, "compiler": find_compiler(self.compiler), "core": self.core}
        sources = sorted(KERNELS.glob("*.c"))
        if self.core == QEMU_CORE:
            find_qemu()
            return QemuCortexM(sources, folder, **arguments)
        return nullcontext(CortexM(sources, folder, guard=False, **arguments))

    @property
    def description(self) -> dict[str, str]:
        """What identifies it in a row."""
        flags = " ".join(self.flags) or "-O2"
        return {"core": self.core, "compiler": self.compiler, "flags": flags, "body": self.body}


def all_configurations() -> list[Configuration]:
    """Every core by both compilers, the plain bodies and Arduino's flags by gcc."""
    found = [Configuration(flags=ARDUINO)]
    for core in ("cortex-m0", "cortex-m3", *TUNED_CORES):
        body = "tuned" if core in TUNED_CORES else "plain"
        found += [Configuration(core, compiler, body=body) for compiler in ("gcc", "zig")]
        if core in TUNED_CORES:
            found.append(Configuration(core, body="plain"))
    return found


@cache
def find_compiler(name: str) -> Compiler:
    """arm-none-eabi-gcc or zig's clang."""
    if name == "zig":
        if importlib.util.find_spec("ziglang") is None:
            raise SystemExit("The rows by zig need `pip install ziglang`.")
        command = (sys.executable, "-m", "ziglang", "cc")
        return Compiler(command, True, f"zig {versions('ziglang')['ziglang']}")
    if shutil.which("arm-none-eabi-gcc") is None:
        raise SystemExit("The rows by gcc need `apt-get install gcc-arm-none-eabi`.")
    return target_compiler()
