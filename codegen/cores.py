"""Compiler flags of the Cortex-M cores, for arm-none-eabi-gcc and for zig's clang."""

from dataclasses import dataclass

from tflm_reds.errors import ToolchainError


@dataclass(frozen=True)
class Core:
    """One core with the options that boards are sold with.

    Attributes:
        name: as in the board files; a trailing "f" says that the FPU is present.
        gcc: flags that select the core in arm-none-eabi-gcc.
        zig: the same for `zig cc`, where a bare `-mcpu=cortex_m4` silently has no FPU and a bare
            `cortex_m33` no DSP.
        macros: what the preprocessor must define with these flags; checked at each build.
    """

    name: str
    gcc: tuple[str, ...]
    zig: tuple[str, ...]
    macros: tuple[str, ...] = ()

    @property
    def has_fpu(self) -> bool:
        """Whether the startup code must switch an FPU on."""
        return "__ARM_FP" in self.macros

    @property
    def is_armv6m(self) -> bool:
        """Whether it has only the small instruction set of the Cortex-M0 and M0+."""
        return self.name.startswith("cortex-m0")

    @property
    def has_dsp(self) -> bool:
        """Whether SMLAD and its family exist."""
        return "__ARM_FEATURE_DSP" in self.macros


def _core(name: str, zig_cpu: str, fpu: str = "", macros: tuple[str, ...] = ()) -> Core:
    gcc = ("-mthumb", f"-mcpu={name.removesuffix('f')}")
    gcc += (f"-mfpu={fpu}", "-mfloat-abi=hard") if fpu else ("-mfloat-abi=soft",)
    abi = "eabihf" if fpu else "eabi"
    return Core(name, gcc, ("-target", f"thumb-freestanding-{abi}", f"-mcpu={zig_cpu}"), macros)


_DSP_FPU = ("__ARM_FEATURE_DSP", "__ARM_FP")

CORES = {
    core.name: core
    for core in (
        _core("cortex-m0", "cortex_m0"),
        _core("cortex-m0plus", "cortex_m0plus"),
        _core("cortex-m3", "cortex_m3"),
        _core("cortex-m4f", "cortex_m4+vfp4d16sp", "fpv4-sp-d16", _DSP_FPU),
        _core("cortex-m7f", "cortex_m7+fp_armv8d16", "fpv5-d16", _DSP_FPU),
        _core("cortex-m33f", "cortex_m33+dsp+fp_armv8d16sp", "fpv5-sp-d16", _DSP_FPU),
        _core(
            "cortex-m55f", "cortex_m55+mve_fp+fp_armv8d16", "auto", (*_DSP_FPU, "__ARM_FEATURE_MVE")
        ),
    )
}


def find_core(name: str) -> Core:
    """The core called `name`.

    Raises:
        ToolchainError: if no such core is known.
    """
    if name not in CORES:
        raise ToolchainError(f"No compiler flags for core {name}. Known: {', '.join(CORES)}.")
    return CORES[name]
