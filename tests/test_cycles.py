"""The frozen rules of the cycle model, each on a sequence with a known number."""

from dataclasses import replace

import numpy as np
import pytest
from tiny_model import target_compilers

from tflm_reds.boards.schema import Timing, load_board
from tflm_reds.codegen.cores import CORES
from tflm_reds.codegen.toolchain import build_image
from tflm_reds.errors import SimulationError
from tflm_reds.sim.core_rules import CORE_RULES
from tflm_reds.sim.counts import EDGE, Counts
from tflm_reds.sim.cycles import CycleEstimate, CycleModel, block_cycles, cycle_model
from tflm_reds.sim.elf import Elf
from tflm_reds.sim.thumb import decode

ORIGIN = 0x10000
SEQUENCES = [
    ("ldr r0,[r1]; ldr r1,[r2]", 3),
    ("ldr r0,[r1,r2]; str r0,[r3,#20]", 3),
    ("ldr r0,[r1,r5]; ldr r1,[r2]; ldr r2,[r3,#4]", 4),
    ("ldrd r0,r1,[r2]", 3),
    ("ldm r0,{r1-r3}", 4),
    ("push {r4-r7,lr}", 6),
    ("smlad r0,r1,r2,r3; smlad r4,r1,r2,r3", 2),
    ("vfma.f32 s0,s1,s2", 3),
    ("vdiv.f32 s0,s1,s2", 14),
    ("smlal r0,r1,r2,r3", 1),
    ("str r0,[r1]", 1),
    ("adds r1,r1,#4; ldr r0,[r1]", 4),
    # Address of a load from the load before: not pipelined.
    ("ldr r0,[r1]; ldr r2,[r0]", 4),
    ("ldrb r0,[r1]; ldrsh r2,[r3,r0]", 4),
    # A store with a register offset is pipelined like a load, but no load itself.
    ("ldr r0,[r1]; str r0,[r3,r4]", 3),
    ("str r0,[r3,r4]; ldr r0,[r1]", 4),
    ("adds r1,r1,#4; str r0,[r1]", 3),
    ("adds r1,r1,#4; ldrd r2,r3,[r1]", 5),
    ("adds r0,r1,#4; str r0,[r1]", 2),
    ("mul r2,r3,r4; ldr r0,[r1,r2]", 4),
    # Base register: STM r0!,{..} stores 2; D registers count 2.
    ("stm r0!,{r1,r2}", 3),
    ("vpush {d8}", 3),
    ("vldm r0,{s0-s3}", 5),
    ("pop {r4-r7}", 5),
    ("vldr s0,[r1]; vldr s1,[r1,#4]", 3),
    # IT is folded into a 16-bit instruction, not into a 32-bit one.
    ("cmp r0,#1; it eq; moveq r1,#1", 2),
    ("cmp.w r0,#256; it eq; moveq r1,#1", 3),
    ("udiv r0,r1,r2", 6),
    ("sdiv r0,r1,r2", 6),
    ("vmul.f32 s0,s1,s2; vadd.f32 s3,s0,s1", 3),
    ("vmul.f32 s0,s1,s2; vadd.f32 s3,s4,s5", 2),
    ("vsqrt.f32 s0,s1", 14),
    ("mla r0,r1,r2,r3; smmlar r0,r1,r2,r3; ssat r0,#8,r1; sxtb16 r0,r1; pkhbt r0,r1,r2", 5),
    ("ldr r0,[pc,#0]", 2),
]  # fmt: skip


@pytest.fixture(scope="module", params=target_compilers(), ids=lambda c: c.version[:12])
def assembled(request, tmp_path_factory):
    """Machine code of each sequence, by its index."""
    folder = tmp_path_factory.mktemp("sequences")
    functions = "\n".join(
        f"__attribute__((naked, used)) void sequence_{i}(void) "
        f'{{ __asm volatile("{text.replace("; ", chr(92) + "n")}\\nsequence_end_{i}:"); }}'
        for i, (text, _) in enumerate(SEQUENCES)
    )
    ends = "".join(f"extern char sequence_end_{i}[];" for i in range(len(SEQUENCES)))
    table = ",".join(f"sequence_end_{i}" for i in range(len(SEQUENCES)))
    source = folder / "sequences.c"
    source.write_text(f"{ends}{functions}\n__attribute__((used)) char *const ends[] = {{{table}}};")
    script = folder / "sequences.ld"
    script.write_text("SECTIONS { .text 0x10000 : { KEEP(*(.text .text.* .rodata .rodata.*)) } }")
    elf = Elf.load(
        build_image([source], folder / "sequences.elf", CORES["cortex-m4f"], script,
                    compiler=request.param)
    )  # fmt: skip
    ends_at = np.frombuffer(elf.read(elf.symbol("ends").address, 4 * len(SEQUENCES)), "<u4")
    starts = [elf.symbol(f"sequence_{i}").address for i in range(len(SEQUENCES))]
    return [elf.read(a, (int(b) & ~1) - a) for a, b in zip(starts, ends_at, strict=True)]


@pytest.mark.parametrize("index", range(len(SEQUENCES)), ids=[text for text, _ in SEQUENCES])
def test_sequence(assembled, index):
    assert block_cycles(decode(assembled[index])) == SEQUENCES[index][1]


def estimate(code: str, edges, reads=0, odd=0, fetches=0, core="cortex-m4f", **timing):
    """Edges as (source, source size, target, target size, count), addresses from 0."""
    rows = [
        (s + ORIGIN if size else 0, size, t + ORIGIN, t_size, 0, 1, n)
        for s, size, t, t_size, n in edges
    ]
    counts = Counts(np.array(rows, EDGE), (reads,), (odd,), (fetches,))
    model = CycleModel(bytes.fromhex(code), ORIGIN, Timing(**timing), CORE_RULES[core])
    return model.estimate(counts)


def test_taken_and_not_taken_branches():
    # 0: subs r0,#1   2: bne 0   4: bx lr
    edges = [(0, 0, 0, 4, 1), (0, 4, 0, 4, 9), (0, 4, 4, 2, 1)]
    core = 10 * 2 + 1
    assert estimate("0138 fdd1 7047", edges) == CycleEstimate(
        low=core + 9, high=core + 27, ws0=core + 18, ws2=core + 18
    )


@pytest.mark.parametrize(
    "code, size, core",
    [
        ("7047 00bf", 2, 1),  # bx lr
        ("ffe7 00bf", 2, 1),  # b to the next instruction: still a refill
        ("10bd 00bf", 2, 3),  # pop {r4, pc}
        ("5df804fb 00bf", 4, 2),  # ldr pc, [sp], #4
        ("dfe800f0 00bf", 4, 2),  # tbb [pc, r0]
        ("9047 00bf", 2, 1),  # blx r2
        ("f746 00bf", 2, 1),  # mov pc, lr
    ],
)
def test_unconditional_transfers_always_refill(code, size, core):
    code_bytes = len(bytes.fromhex(code)) - 2
    assert code_bytes == size
    result = estimate(code, [(0, 0, 0, size, 1), (0, size, size, 2, 1)])
    assert result == CycleEstimate(core + 2, core + 4, core + 3, core + 3)


def test_conditional_transfers_refill_only_when_taken():
    # 0: cbz r0, 6   2: nop   4: nop   6: nop
    taken = estimate("08b1 00bf 00bf 00bf", [(0, 0, 0, 2, 1), (0, 2, 6, 2, 1)])
    passed = estimate("08b1 00bf 00bf 00bf", [(0, 0, 0, 2, 1), (0, 2, 2, 2, 1)])
    assert taken.ws0 - passed.ws0 == 2
    assert passed.low == passed.high == 2


def test_pipelining_reaches_over_a_block_boundary():
    # ldr r0,[r1] | ldr r2,[r3]: Unicorn may cut blocks anywhere.
    result = estimate("0868 1a68", [(0, 0, 0, 2, 1), (0, 2, 2, 2, 1)])
    assert result.low == result.high == 3


def test_flash_reads_and_unaligned_accesses_are_added():
    edges = [(0, 0, 0, 2, 10)]  # movs r0, #1
    board = {"data_wait_states": (0, 5), "fetch_wait_states": (1, 4)}
    result = estimate("0120", edges, reads=7, odd=3, fetches=2, **board)
    assert result == CycleEstimate(low=13 + 2, high=13 + 35 + 8, ws0=13, ws2=13 + 14)


def test_measured_figures_of_a_board_replace_the_core_s():
    # 0: subs r0,#1; ldr r1,[r2]   4: bne 0
    edges = [(0, 0, 0, 6, 1), (0, 6, 0, 6, 9)]
    board = {"refill": (2.5, 2.5), "load": (1.5, 3), "unaligned": (0, 2)}
    result = estimate("0138 1168 fcd1", edges, odd=4, **board)
    low = 10 * (1 + 1.5 + 1) + 9 * 2.5
    assert result.low == np.floor(low) and result.high == np.ceil(low + 10 * 1.5 + 4 * 2)
    assert result.ws0 == 10 * (1 + 2 + 1) + 9 * 2 + 4


ARMV6_M = [
    ("0868 1168", 4, 0),  # ldr r0,[r1]; ldr r1,[r2]: never pipelined
    ("0431 0868", 3, 0),  # adds r1,#4; ldr r0,[r1]: no interlock
    ("0860", 2, 0),  # str r0,[r1]
    ("70b5", 5, 0),  # push {r4-r6,lr}
    ("03bd", 5, 1),  # pop {r0,r1,pc}: 3 + N on a Cortex-M0+, 4 + N on a Cortex-M0
    ("00f000f8", 2, 1),  # bl: 3 on a Cortex-M0+, 4 on a Cortex-M0
    ("7047", 1, 1),  # bx lr: 2 or 3
    ("4843", 1, 0),  # muls r0,r1
]


@pytest.mark.parametrize("core, refill", [("cortex-m0", 2), ("cortex-m0plus", 1)])
@pytest.mark.parametrize("code, core_cycles, refills", ARMV6_M)
def test_small_cores_take_what_their_manuals_tell(core, refill, code, core_cycles, refills):
    size = len(bytes.fromhex(code))
    edges = [(0, 0, 0, size, 1)] + [(0, size, size, 2, 1)] * refills
    result = estimate(code + " 00bf", edges, core=core)
    total = core_cycles + refills * (refill + 1)  # 1: the nop
    assert result == CycleEstimate(total, total, total, total)


def test_multiplications_of_a_cortex_m3_have_an_interval():
    # mla r0,r1,r2,r3; smull r0,r1,r2,r3; smlal r0,r1,r2,r3
    result = estimate("01fb0230 82fb0301 c2fb0301", [(0, 0, 0, 12, 1)], core="cortex-m3")
    assert (result.low, result.high) == (2 + 3 + 4, 2 + 5 + 7)
    assert estimate("01fb0230 82fb0301 c2fb0301", [(0, 0, 0, 12, 1)]).high == 3


def test_cores_without_a_table_have_no_model():
    board = replace(load_board("nano33ble"), core="cortex-m7f")
    assert cycle_model(board, b"") is None
    assert isinstance(cycle_model(replace(board, core="cortex-m3"), b""), CycleModel)


def test_bytes_that_are_no_instruction():
    with pytest.raises(SimulationError, match="cannot be decoded"):
        decode(bytes.fromhex("0120ffff"), 0x10000)
