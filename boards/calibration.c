/* Times loops of a few instructions with the cycle counter: what `tflm_reds.calibration` fits the
 * board's figures to. Each record tells the cycles of TURNS turns; `calibration_fit.py` tells what
 * they are made of. A loop never calls and keeps its own registers r2, r3 and r12; r0 holds the
 * turns and r1 an address. */
#include "board.h"
#include "firmware.h"

#define TURNS 64u
#define REPEATS 4
#define WINDOW 0x4000u /* what the walking loops read, a quarter of a KiB each turn */

typedef void loop(uint32_t turns, const void *memory);

#define LOOP(name, ...)                                                               \
  __attribute__((naked, noinline, aligned(64))) static void name(uint32_t turns,      \
                                                                 const void *memory) { \
    __asm volatile(".syntax unified\n.balign 64\n1:\n" __VA_ARGS__                    \
                   "subs r0, #1\nbne 1b\nbx lr\n");                                   \
  }

#define FOUR(text) text text text text
#define EIGHT(text) FOUR(text) FOUR(text)
#define APART "movs r3, #0\n" /* between two accesses, so that they are not pipelined */

LOOP(empty, "movs r2, #0\n")
LOOP(branch, FOUR("b 2f\n2:\n"))
LOOP(load, EIGHT("ldr r2, [r1]\n" APART))
LOOP(chase, EIGHT("ldr r1, [r1]\n"))
LOOP(load_pipelined, EIGHT("ldr r2, [r1]\n"))
LOOP(store, "movs r2, #0\n" EIGHT("str r2, [r1, #4]\n"))
LOOP(interlock, EIGHT("mov r2, r1\nldr r3, [r2]\n"))
LOOP(load_multiple, EIGHT("mov r2, r1\nldmia r2!, {r3}\n"))

/* Each turn reads eight words, `step` bytes apart, in a place of its own. */
#define WALK(step)                                                                            \
  "lsls r2, r0, #26\nlsrs r2, r2, #18\nadds r2, r2, r1\n" APART "ldr r3, [r2]\n" APART        \
  "ldr r3, [r2, #1*" #step "]\n" APART "ldr r3, [r2, #2*" #step "]\n" APART                   \
  "ldr r3, [r2, #3*" #step "]\n" APART "ldr r3, [r2, #4*" #step "]\n" APART                   \
  "ldr r3, [r2, #5*" #step "]\n" APART "ldr r3, [r2, #6*" #step "]\n" APART                   \
  "ldr r3, [r2, #7*" #step "]\n" APART
LOOP(walk_near, WALK(4))
LOOP(walk_far, WALK(16))

#ifdef __ARM_FEATURE_UNALIGNED
LOOP(odd_halfword, EIGHT("ldr r2, [r1, #2]\n" APART))
LOOP(odd_byte, EIGHT("ldr r2, [r1, #1]\n" APART))
#endif

#if __ARM_ARCH_ISA_THUMB == 2
LOOP(multiply_add, EIGHT("mla r2, r2, r3, r12\n"))
LOOP(long_multiply_add, EIGHT("smlal r2, r3, r12, r12\n"))
LOOP(divide, "mov r2, #1\n" EIGHT("udiv r3, r2, r2\n"))
LOOP(load_pair, EIGHT("ldrd r2, r3, [r1]\n"))
#endif

#ifdef __ARM_FEATURE_DSP
LOOP(dual_multiply_add, EIGHT("smlad r2, r3, r12, r2\n"))
#endif

#if __ARM_ARCH_ISA_THUMB == 2 && BOARD_CACHE_BYTES > 0
/* Four times what the cache holds: no line is there when the turn comes to it again. */
#define TEXT_OF(value) #value
#define TEXT(value) TEXT_OF(value)
#define LINE TEXT(BOARD_CACHE_LINE_BYTES)
#define COLD_LINES TEXT((4 * BOARD_CACHE_BYTES / BOARD_CACHE_LINE_BYTES))
LOOP(cold_straight, ".rept " COLD_LINES " * " LINE " / 4\nmov.w r2, r3\n.endr\n")
LOOP(cold_branch, ".rept " COLD_LINES "\nb.n 2f\n.space " LINE " - 2, 0\n2:\n.endr\n")
#endif

volatile int32_t firmware_subnet = -1;
static uint32_t cell[4] __attribute__((aligned(16)));

static uint32_t time_once(loop *body, uint32_t turns, const void *memory) {
  const uint32_t start = cycle_counter_read();
  body(turns, memory);
  return cycle_counter_read() - start;
}

/* The shortest of some runs: whatever disturbs one makes it longer, as the first ones, which fill
 * the cache. */
static uint32_t shortest(loop *body, uint32_t turns, const void *memory) {
  uint32_t best = time_once(body, turns, memory);
  for (int32_t i = 1; i < REPEATS; i++) {
    const uint32_t time = time_once(body, turns, memory);
    if (time < best) best = time;
  }
  return best;
}

/* The difference of two lengths holds neither the call nor the reading of the counter. */
static void report(const char *name, loop *body, const void *memory) {
  record_begin("LOOP");
  record_text("name", name);
  record_integer("turns", (int32_t)TURNS);
  const uint32_t one = shortest(body, TURNS, memory);
  record_integer("cycles", (int32_t)(shortest(body, 2 * TURNS, memory) - one));
  record_end();
}

#define REPORT(name) report(#name, name, cell)

static void report_core(void) {
  REPORT(empty);
  REPORT(branch);
  REPORT(load);
  REPORT(chase);
  REPORT(load_pipelined);
  REPORT(store);
  REPORT(interlock);
  REPORT(load_multiple);
#ifdef __ARM_FEATURE_UNALIGNED
  REPORT(odd_halfword);
  REPORT(odd_byte);
#endif
#if __ARM_ARCH_ISA_THUMB == 2
  REPORT(multiply_add);
  REPORT(long_multiply_add);
  REPORT(divide);
  REPORT(load_pair);
#endif
#ifdef __ARM_FEATURE_DSP
  REPORT(dual_multiply_add);
#endif
}

static void report_flash(void) {
  const void *ram = firmware_stack_bottom;
  const void *flash = (const void *)((uint32_t)&main & ~(WINDOW - 1));
  report("walk_near_ram", walk_near, ram);
  report("walk_far_ram", walk_far, ram);
  report("walk_near_flash", walk_near, flash);
  report("walk_far_flash", walk_far, flash);
#if __ARM_ARCH_ISA_THUMB == 2 && BOARD_CACHE_BYTES > 0
  REPORT(cold_straight);
  REPORT(cold_branch);
#endif
}

int main(void) {
  cell[0] = (uint32_t)cell; /* a load of it leads to itself */
  cycle_counter_start();
  record_begin("BOOT");
  record_text("model", "calibration");
  record_hex("build", BOARD_BUILD);
  record_end();
  report_core();
  report_flash();
  cycle_counter_stop();
  record_begin("DONE");
  record_integer("failures", 0);
  record_end();
  return 0;
}
