"""Errors of tflm_reds: each message tells what happened, the number, and the way out.

`python -m tflm_reds.build` prints the message as one paragraph and exits with `exit_code`.
"""


class RedsError(Exception):
    """Base of every error that this package raises on purpose."""

    exit_code = 1


class ModelError(RedsError):
    """A model file is missing, corrupt, or holds a layer that is not supported."""

    exit_code = 2


class DataError(RedsError):
    """Calibration, training or test data has a wrong shape, a wrong type, or NaN."""

    exit_code = 3


class PlanError(RedsError):
    """No widths fit a budget, or the budgets contradict each other."""

    exit_code = 4


class QuantizationError(RedsError):
    """A nested network cannot be written as one int8 weight set."""

    exit_code = 5


class ToolchainError(RedsError):
    """A compiler or a linker is missing, or refused what was given to it."""

    exit_code = 6


class BoardError(RedsError):
    """A board file is wrong, or the board has too little flash or RAM for the model."""

    exit_code = 7


class SimulationError(RedsError):
    """A simulated run faulted, passed a limit, or ended without its final record."""

    exit_code = 8


class OutputError(RedsError):
    """The output folder cannot be written, or another build holds it."""

    exit_code = 9


class VerificationError(RedsError):
    """Two implementations that must agree byte for byte do not."""

    exit_code = 10


class PackageError(RedsError):
    """No such kind of package, a name that its tools refuse, or no build to package."""

    exit_code = 11


class DeviceError(RedsError):
    """A board cannot be flashed or read, or runs another build."""

    exit_code = 12


class GrowthError(RedsError):
    """A build takes more instructions, arena or flash than its repository's budgets allow."""

    exit_code = 13
