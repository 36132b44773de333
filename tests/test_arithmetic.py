"""boards/arithmetic.c, which images for the Cortex-M0 by clang are linked with."""

import numpy as np
import pytest
from machines import CortexM
from tiny_model import target_compilers

WORDS = [0, 1, 2, 3, 7, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0x80000001, 0xFFFFFFFF]
SOURCE = """
#include <stdint.h>
#define COUNT {count}
typedef struct {{ uint32_t product[2]; uint32_t unsigned_pair[2]; int32_t signed_pair[2]; }} result;

void compute(const uint32_t *a, const uint32_t *b, result *results) {{
  for (int32_t i = 0; i < COUNT; i++) {{
    const uint64_t wide = ((uint64_t)a[i] << 32 | b[i]) * ((uint64_t)b[i] << 32 | a[i]);
    results[i] = (result){{
        {{(uint32_t)wide, (uint32_t)(wide >> 32)}},
        {{a[i] / b[i], a[i] % b[i]}},
        {{(int32_t)a[i] / (int32_t)b[i], (int32_t)a[i] % (int32_t)b[i]}}}};
  }}
}}
"""


@pytest.mark.parametrize("compiler", target_compilers(), ids=lambda c: c.version[:12])
def test_products_and_quotients_on_a_cortex_m0(tmp_path, compiler):
    random = np.random.default_rng(0)
    drawn = (random.integers(0, 2**32, 500) >> random.integers(0, 32, 500)).tolist()
    pairs = [(a, b) for a in WORDS for b in WORDS] + list(zip(drawn, drawn[::-1], strict=True))
    # C leaves x / 0 and -2^31 / -1 open.
    pairs = [(a, b) for a, b in pairs if b and not (a == 1 << 31 and b == 2**32 - 1)]
    source = tmp_path / "compute.c"
    source.write_text(SOURCE.format(count=len(pairs)))
    machine = CortexM([source], tmp_path, core="cortex-m0", compiler=compiler)
    columns = [machine.place(column.tobytes()) for column in np.array(pairs, "<u4").T]
    results = machine.place(bytes(24 * len(pairs)))
    machine.call("compute", *columns, results)
    found = np.frombuffer(machine.read(results, 24 * len(pairs)), "<u4").reshape(-1, 6)
    np.testing.assert_array_equal(found, np.array([expected(*pair) for pair in pairs], "<u4"))


def expected(a: int, b: int) -> list[int]:
    wide = (a << 32 | b) * (b << 32 | a)
    signed = [word - (word >> 31 << 32) for word in (a, b)]
    quotient = abs(signed[0]) // abs(signed[1]) * (-1 if (signed[0] < 0) != (signed[1] < 0) else 1)
    remainder = signed[0] - quotient * signed[1]
    words = [wide, wide >> 32, a // b, a % b, quotient, remainder]
    return [word & 0xFFFFFFFF for word in words]
