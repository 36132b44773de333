"""Two TFLM interpreters in one program, each running its own subnets in turn.

    python -P two_interpreters.py WORKER_FOLDER RUNTIME LIBRARY FOLDER MODE

Runs as a plain script, as tflm_worker.py does. FOLDER holds 0.tflite, 1.tflite and calls.npz: of
each model, inputs and the subnet of each. MODE: "input", the models read their subnet from an input
tensor; "external", each interpreter has a state of its own. Writes outputs.npz.
"""

import sys
from copy import copy
from pathlib import Path

import numpy as np

sys.path.insert(0, sys.argv[1])
from tflm_worker import Worker


def main() -> None:
    """Interleave the calls of both interpreters."""
    runtime, library, folder, mode = sys.argv[2], sys.argv[3], Path(sys.argv[4]), sys.argv[5]
    calls = np.load(folder / "calls.npz")
    first = Worker(runtime)
    first.load_custom_ops(library)
    workers = [first, copy(first)]  # one runtime, two interpreters
    for index, worker in enumerate(workers):
        count = int(calls[f"count{index}"]) if mode == "input" else None
        worker.load_model((folder / f"{index}.tflite").read_bytes(), 1 << 20, count)
    outputs: list[list[np.ndarray]] = [[], []]
    for step, pair in enumerate(zip(calls["subnets0"], calls["subnets1"], strict=True)):
        if mode == "external":  # both are selected before either runs
            for index, subnet in enumerate(pair):
                assert first._custom_ops.own_state_set_subnet(index, int(subnet)) == 0
        for index, (worker, subnet) in enumerate(zip(workers, pair, strict=True)):
            row = calls[f"x{index}"][step : step + 1]
            rows, refused = worker.run(row, [int(subnet)] if mode == "input" else None)
            assert not refused
            if mode == "external":
                assert first._custom_ops.own_state_active(index) == subnet
            outputs[index].append(rows[0])
    np.savez(folder / "outputs.npz", y0=np.stack(outputs[0]), y1=np.stack(outputs[1]))


if __name__ == "__main__":
    main()
