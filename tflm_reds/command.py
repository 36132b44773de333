"""How a command ends: with an exit status, and one paragraph for what went wrong."""

import sys
from collections.abc import Callable

from tflm_reds.errors import RedsError

INTERRUPTED = 130


def run_command(action: Callable[[], None]) -> int:
    """Run `action`; return 0, or the exit code of the RedsError that it raised."""
    try:
        action()
    except RedsError as error:
        print(f"\n{type(error).__name__}: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("\nInterrupted. Nothing was written.", file=sys.stderr)
        return INTERRUPTED
    return 0
