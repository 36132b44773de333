"""The governor compiled for this host and called through ctypes: the C that boards get."""

import ctypes
from collections.abc import Sequence
from dataclasses import astuple
from pathlib import Path

from tflm_reds.codegen.governor.files import FOLDER, SubnetCost, check_costs
from tflm_reds.codegen.toolchain import build_shared_library
from tflm_reds.errors import DataError

KERNELS = FOLDER.parent / "kernels"
UNLIMITED = 0xFFFFFFFF
"""REDS_UNLIMITED of reds_governor.h."""
LIMITS = ("deadline_us", "energy_uj", "battery_permille")
"""The fields of reds_available."""


class _Cost(ctypes.Structure):
    """reds_cost of reds_governor.h."""

    _fields_ = (
        ("subnet", ctypes.c_int32),
        ("time_us", ctypes.c_uint32),
        ("energy_uj", ctypes.c_uint32),
        ("accuracy_permille", ctypes.c_uint32),
    )


class _Available(ctypes.Structure):
    """reds_available of reds_governor.h."""

    _fields_ = tuple((name, ctypes.c_uint32) for name in LIMITS)


class _State(ctypes.Structure):
    """reds_governor of reds_governor.h."""

    _fields_ = (
        ("cheapest", ctypes.c_void_p),
        ("dearest", ctypes.c_void_p),
        ("chosen", ctypes.c_void_p),
        ("subnet", ctypes.c_int32),
        ("fits", ctypes.c_int32),
        ("margin_shift", ctypes.c_uint32),
        ("speed", ctypes.c_uint32),
    )


class GovernorLibrary:
    """The compiled code; makes any number of governors.

    Raises:
        ToolchainError: if there is no C compiler.
        OutputError: if `folder` cannot be written.
    """

    def __init__(self, folder: str | Path) -> None:
        path = Path(folder) / "libreds_governor.so"
        build_shared_library([FOLDER / "reds_governor.c"], path, [KERNELS])
        self.functions = ctypes.CDLL(str(path))
        self.functions.reds_governor_init.argtypes = [ctypes.c_void_p] * 2 + [ctypes.c_int32]
        self.functions.reds_governor_choose.argtypes = [ctypes.c_void_p] * 2
        self.functions.reds_governor_measured.argtypes = [
            ctypes.c_void_p, ctypes.c_int32, ctypes.c_uint32
        ]  # fmt: skip


class Governor:
    """One governor with the costs of one network; begins with the cheapest subnet.

    >>> governor = Governor(GovernorLibrary(folder), costs)       # doctest: +SKIP
    >>> governor.choose(deadline_us=20_000)                       # doctest: +SKIP
    2

    Raises:
        DataError: if `check_costs` refuses the costs.
    """

    def __init__(self, library: GovernorLibrary, costs: Sequence[SubnetCost]) -> None:
        check_costs(costs)
        self._functions = library.functions
        self._costs = (_Cost * len(costs))(*map(astuple, costs))
        self._state = _State()
        self._check(
            self._functions.reds_governor_init(ctypes.byref(self._state), self._costs, len(costs))
        )

    @property
    def subnet(self) -> int:
        """The subnet chosen last."""
        return self._state.subnet

    @property
    def fits(self) -> bool:
        """Whether it costs no more than was available."""
        return bool(self._state.fits)

    @property
    def speed(self) -> float:
        """Expected time over measured time, as far as `measured` has told."""
        return self._state.speed / 4096

    def choose(
        self,
        deadline_us: int = UNLIMITED,
        energy_uj: int = UNLIMITED,
        battery_permille: int = UNLIMITED,
    ) -> int:
        """The subnet for the next inference; limits are clipped to 32 bits."""
        limits = (deadline_us, energy_uj, battery_permille)
        available = _Available(*(min(max(limit, 0), UNLIMITED) for limit in limits))
        state = ctypes.byref(self._state)
        self._check(self._functions.reds_governor_choose(state, ctypes.byref(available)))
        return self.subnet

    def measured(self, subnet: int, time_us: int) -> None:
        """Tell what an inference took.

        Raises:
            DataError: if `subnet` does not exist.
        """
        state = ctypes.byref(self._state)
        self._check(self._functions.reds_governor_measured(state, subnet, time_us))

    def _check(self, status: int) -> None:
        if status:
            raise DataError(
                f"The governor refused its arguments with status {status} (reds_status in reds.h). "
                f"It knows the subnets {[cost.subnet for cost in self._costs]}."
            )
