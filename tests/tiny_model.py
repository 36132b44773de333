"""A three-op model written by hand: what the simulator and firmware tests run and break."""

import importlib.util
import os
import shutil
import sys
from pathlib import Path
from unittest import mock

import numpy as np

from tflm_reds.boards.schema import Board, load_board
from tflm_reds.codegen.firmware import Firmware, Samples, build_firmware
from tflm_reds.codegen.toolchain import Compiler, target_compiler

KERNELS = Path(__file__).resolve().parent.parent / "codegen" / "kernels"
INPUT_BYTES, OUTPUT_BYTES, SUBNETS, ARENA_BYTES = 12, 5, 3, 32

HEADER = f"""
#ifndef TINY_MODEL_H_
#define TINY_MODEL_H_
#include "reds.h"
#define TINY_SUBNETS {SUBNETS}
#define TINY_ARENA_BYTES {ARENA_BYTES}
#define TINY_INPUT_BYTES {INPUT_BYTES}
#define TINY_OUTPUT_BYTES {OUTPUT_BYTES}
extern const reds_model tiny_model;
#endif
"""

SOURCE = """
#include "tiny_model.h"
#define OP static __attribute__((noinline)) reds_status
static const int8_t weights[%(inputs)d] = {%(weights)s};

/* Keeps 4 * (active + 1) inputs. */
OP tiny_op_0_scale(const reds_state *state, const void *data) {
  (void)data;
  for (int32_t i = 0; i < 4 * (state->active + 1); i++) {
    state->arena[i] = (int8_t)(state->input[i] * weights[i] >> 3);
  }
  return REDS_OK;
}

OP tiny_op_1_sum(const reds_state *state, const void *data) {
  (void)data;
  int32_t sum = 0;
  for (int32_t i = 0; i < 4 * (state->active + 1); i++) sum += state->arena[i];
  %(extra)s
  state->arena[16] = (int8_t)sum;
  return REDS_OK;
}

OP tiny_op_2_spread(const reds_state *state, const void *data) {
  (void)data;
  for (int32_t i = 0; i < %(outputs)d; i++) state->output[i] = (int8_t)(state->arena[16] + i);
  return REDS_OK;
}

static const reds_op ops[3] = {
    {"scale", tiny_op_0_scale, NULL},
    {"sum", tiny_op_1_sum, NULL},
    {"spread", tiny_op_2_spread, NULL},
};
const reds_model tiny_model = {"tiny", ops, 3, %(subnets)d, %(arena)d, %(inputs)d, %(outputs)d};
"""

WEIGHTS = np.array([3, -5, 7, 11, -2, 9, 8, -8, 1, 6, -7, 4], np.int64)


def reference(x: np.ndarray, subnet: int) -> np.ndarray:
    """Outputs int8 [n, OUTPUT_BYTES] for int8 `x` [n, INPUT_BYTES]."""
    kept = 4 * (subnet + 1)
    scaled = (x[:, :kept] * WEIGHTS[:kept] >> 3).astype(np.int8)
    total = scaled.astype(np.int64).sum(axis=1, keepdims=True)
    return (total + np.arange(OUTPUT_BYTES)).astype(np.int8)


def samples(count: int = 2, seed: int = 0) -> Samples:
    """Random inputs with the reference's outputs of every subnet."""
    x = np.random.default_rng(seed).integers(-128, 128, (count, INPUT_BYTES)).astype(np.int8)
    return Samples(x, np.stack([reference(x, subnet) for subnet in range(SUBNETS)]))


def write_sources(folder: Path, extra: str = "") -> list[Path]:
    """Write the model with the C statement `extra` in its second op."""
    folder.mkdir(parents=True, exist_ok=True)
    values = {
        "inputs": INPUT_BYTES,
        "outputs": OUTPUT_BYTES,
        "subnets": SUBNETS,
        "arena": ARENA_BYTES,
        "weights": ", ".join(map(str, WEIGHTS)),
        "extra": extra,
    }
    (folder / "tiny_model.h").write_text(HEADER)
    (folder / "tiny_model.c").write_text(SOURCE % values)
    runtime = [Path(shutil.copy(KERNELS / name, folder)) for name in ("reds.h", "reds.c")]
    return [folder / "tiny_model.h", folder / "tiny_model.c", *runtime]


def target_compilers() -> list[Compiler]:
    """Every Cortex-M compiler of this machine: arm-none-eabi-gcc and ziglang."""
    commands = [shutil.which("arm-none-eabi-gcc")]
    if importlib.util.find_spec("ziglang"):
        commands.append(f"{sys.executable} -m ziglang cc")
    found = []
    for command in filter(None, commands):
        with mock.patch.dict(os.environ, TFLM_REDS_TARGET_CC=command):
            found.append(target_compiler())
    return found


def build(
    folder: Path, extra: str = "", compiler: Compiler | None = None, board: Board | None = None
) -> Firmware:
    """The image of the model, by default for the Nano 33 BLE."""
    sources = write_sources(folder / "sources", extra)
    board = board or load_board("nano33ble")
    return build_firmware(sources, "tiny", samples(), board, folder / "image", compiler=compiler)
