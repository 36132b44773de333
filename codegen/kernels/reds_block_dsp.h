/* The block product in assembly, for cores with the DSP extension. Part of reds_block.c.
 *
 * All fourteen registers work in the inner loop, which no compiler manages from C:
 *   r0 - r3    S0 at the four positions         r8  weights: the mix of two inputs
 *   r4 - r7    the mix sums                     r9  their low bytes: weights of the even row
 *   r12        patches                          r10, r11  inputs of two positions
 *   lr         weights
 * The functions are naked, so that the same text assembles under gcc 7 and clang at any level of
 * optimisation. The plain C of reds_block_plain.h is their specification. */
#ifndef REDS_BLOCK_DSP_H_
#define REDS_BLOCK_DSP_H_

#include "reds_requantise_dsp.h"

/* One half: two inputs of two rows at four positions, 16 products in 14 instructions. Loads stand
 * in groups, because only the first of a group takes two cycles. */
#define REDS_HALF             \
  "ldr.w r8, [lr], #4\n\t"    \
  "ldr.w r10, [r12, #4]\n\t"  \
  "ldr.w r11, [r12, #8]\n\t"  \
  "sxtb16 r9, r8\n\t"         \
  "smlad r1, r9, r10, r1\n\t" \
  "smlad r5, r8, r10, r5\n\t" \
  "smlad r2, r9, r11, r2\n\t" \
  "smlad r6, r8, r11, r6\n\t" \
  "ldr.w r10, [r12, #12]\n\t" \
  "ldr.w r11, [r12], #16\n\t" \
  "smlad r3, r9, r10, r3\n\t" \
  "smlad r7, r8, r10, r7\n\t" \
  "smlad r4, r8, r11, r4\n\t" \
  "smlad r0, r9, r11, r0\n\t"

/* The first half of a row pair: all sums start from r0. */
#define REDS_FIRST_HALF       \
  "ldr.w r8, [lr], #4\n\t"    \
  "ldr.w r10, [r12, #4]\n\t"  \
  "ldr.w r11, [r12, #8]\n\t"  \
  "sxtb16 r9, r8\n\t"         \
  "smlad r1, r9, r10, r0\n\t" \
  "smlad r5, r8, r10, r0\n\t" \
  "smlad r2, r9, r11, r0\n\t" \
  "smlad r6, r8, r11, r0\n\t" \
  "ldr.w r10, [r12, #12]\n\t" \
  "ldr.w r11, [r12], #16\n\t" \
  "smlad r3, r9, r10, r0\n\t" \
  "smlad r7, r8, r10, r0\n\t" \
  "smlad r4, r8, r11, r0\n\t" \
  "smlad r0, r9, r11, r0\n\t"

/* The halves of a segment, four or eight in a turn. [sp] holds where the patches end. Entered
 * `56 * n` bytes before label 4, the first turn has n halves; at label 4, none. */
#define REDS_HALVES(turn) \
  ".balign 4\n"           \
  "3:\n\t"                \
  turn                    \
  "4:\n\t"                \
  "ldr.w r10, [sp]\n\t"   \
  "cmp r12, r10\n\t"      \
  "bne.w 3b\n\t"
#define REDS_FOUR_HALVES REDS_HALF REDS_HALF REDS_HALF REDS_HALF
#define REDS_EIGHT_HALVES REDS_FOUR_HALVES REDS_FOUR_HALVES

/* r3 = where to enter the loop for a first turn of r2 halves. */
#define REDS_ENTRY               \
  "adr.w r3, 4f + 1\n\t"         \
  "sub.w r3, r3, r2, lsl #6\n\t" \
  "add.w r3, r3, r2, lsl #3\n\t"

/* One segment of at most REDS_RUN_HALVES, and an activation whose minimum is the zero point: what
 * the sign changes is below it.
 *
 * Stack: 0 end of patches, 4 entry, 8 a copy of reds_four up to `skipped`. */
static REDS_NAKED void reds_multiply_four_relu(REDS_UNUSED const reds_four *four) {
  __asm__(
      "push {r4-r11, lr}\n\t"
      "sub sp, #52\n\t"
      "ldm.w r0!, {r4-r11}\n\t"
      "add r12, sp, #8\n\t"
      "stm.w r12!, {r4-r11}\n\t"
      "subs r2, r6, #1\n\t"
      "add.w r4, r4, r6, lsl #4\n\t"
      "and.w r2, r2, #7\n\t"
      "ldm.w r0, {r5-r7}\n\t"
      "str r4, [sp]\n\t"
      "stm.w r12, {r5-r7}\n\t"
      REDS_ENTRY
      "str r3, [sp, #4]\n\t"
      "2:\n\t"
      "ldr r8, [sp, #24]\n\t"
      "ldr r12, [sp, #8]\n\t"
      "ldr lr, [sp, #12]\n\t"
      "ldr r0, [r8], #8\n\t"
      "str r8, [sp, #24]\n\t"
      REDS_FIRST_HALF
      "ldr.w pc, [sp, #4]\n\t"
      REDS_HALVES(REDS_EIGHT_HALVES)
      "ldr r8, [sp, #24]\n\t"
      "ldr r10, [sp, #48]\n\t"
      "ldr r11, [sp, #32]\n\t"
      "ldr r9, [sp, #28]\n\t"
      "ldr r8, [r8, #-4]\n\t"
      "ldrsb r12, [r11], #2\n\t"
      "add lr, r10\n\t"
      "str lr, [sp, #12]\n\t"
      "str r11, [sp, #32]\n\t"
      "subs r4, r4, r0\n\t"
      "subs r5, r5, r1\n\t"
      "subs r6, r6, r2\n\t"
      "subs r7, r7, r3\n\t"
      "add.w r4, r8, r4, asr #8\n\t"
      "add.w r5, r8, r5, asr #8\n\t"
      "add.w r6, r8, r6, asr #8\n\t"
      "add.w r7, r8, r7, asr #8\n\t"
      "ldr r8, [r9], #4\n\t"
      "ldrsb lr, [r11, #-1]\n\t"
      "ldr r11, [r9], #4\n\t"
      "ldr r10, [sp, #44]\n\t"
      "str r9, [sp, #28]\n\t"
      "lsl.w r8, r8, #1\n\t"
      "lsl.w r9, r11, #1\n\t"
      "rsb.w r12, r12, #0\n\t"
      "rsb.w lr, lr, #0\n\t"
      REDS_REQUANTISE("r0", "r8", "r12", "")
      REDS_REQUANTISE("r1", "r8", "r12", "")
      REDS_REQUANTISE("r2", "r8", "r12", "")
      REDS_REQUANTISE("r3", "r8", "r12", "")
      REDS_REQUANTISE("r4", "r9", "lr", "")
      REDS_REQUANTISE("r5", "r9", "lr", "")
      REDS_REQUANTISE("r6", "r9", "lr", "")
      REDS_REQUANTISE("r7", "r9", "lr", "")
      "bfi r0, r4, #8, #8\n\t"
      "bfi r1, r5, #8, #8\n\t"
      "bfi r2, r6, #8, #8\n\t"
      "bfi r3, r7, #8, #8\n\t"
      "ldr r4, [sp, #36]\n\t"
      "ldr r5, [sp, #40]\n\t"
      "ldr r6, [sp, #20]\n\t"
      "strh r1, [r4, r5]\n\t"
      "add.w r7, r4, r5, lsl #1\n\t"
      "subs r6, #1\n\t"
      "strh r2, [r7]\n\t"
      "strh r3, [r7, r5]\n\t"
      "strh.w r0, [r4], #2\n\t"
      "str r4, [sp, #36]\n\t"
      "str r6, [sp, #20]\n\t"
      "bne.w 2b\n\t"
      "add sp, #52\n\t"
      "pop {r4-r11, pc}\n\t");
}

/* Any number of segments, summed in runs of `period`; any zero point; a fused look-up; or sums
 * instead of outputs.
 *
 * Stack: 0 end of patches, 4 entry, 8 segments left in the run, 12 and after it, 16 the odd row's
 * sums of the runs before, 32 a copy of reds_four. */
static REDS_NAKED void reds_multiply_four_runs(REDS_UNUSED const reds_four *four) {
  __asm__(
      "push {r4-r11, lr}\n\t"
      "sub sp, #96\n\t"
      "ldm.w r0!, {r4-r11}\n\t"
      "add r12, sp, #32\n\t"
      "stm.w r12!, {r4-r11}\n\t"
      "and.w r2, r6, #3\n\t"
      "lsls r6, r6, #4\n\t"
      "str r6, [sp, #40]\n\t"
      "ldm.w r0, {r4-r11}\n\t"
      "stm.w r12, {r4-r11}\n\t"
      REDS_ENTRY
      "str r3, [sp, #4]\n\t"
      "2:\n\t"
      "ldr r8, [sp, #92]\n\t"
      "ldr r12, [sp, #32]\n\t"
      "ldr lr, [sp, #36]\n\t"
      "ldr r9, [sp, #80]\n\t"
      "ldr r10, [sp, #76]\n\t"
      "cmp r8, #0\n\t"
      "bne 10f\n\t"
      "ldr r8, [sp, #48]\n\t"
      "ldr r0, [r8], #4\n\t"
      "ldr r4, [r8], #4\n\t"
      "str r8, [sp, #48]\n\t"
      "mov r1, r0\n\t"
      "mov r2, r0\n\t"
      "mov r3, r0\n\t"
      "mov r5, r4\n\t"
      "mov r6, r4\n\t"
      "mov r7, r4\n\t"
      "5:\n\t"
      "strd r4, r5, [sp, #16]\n\t"
      "strd r6, r7, [sp, #24]\n\t"
      "mov r4, r0\n\t"
      "mov r5, r1\n\t"
      "mov r6, r2\n\t"
      "mov r7, r3\n\t"
      "cmp r10, r9\n\t"
      "it lt\n\t"
      "movlt r9, r10\n\t"
      "sub.w r10, r10, r9\n\t"
      "strd r9, r10, [sp, #8]\n\t"
      "6:\n\t"
      "ldr r8, [sp, #40]\n\t"
      "ldr r10, [sp, #4]\n\t"
      "add r8, r12\n\t"
      "str r8, [sp]\n\t"
      "bx r10\n\t"
      REDS_HALVES(REDS_FOUR_HALVES)
      "ldr r10, [sp, #8]\n\t"
      "ldr r8, [sp, #72]\n\t"
      "subs.w r10, r10, #1\n\t"
      "add lr, r8\n\t"
      "str r10, [sp, #8]\n\t"
      "bne.w 6b\n\t"
      "ldr r10, [sp, #12]\n\t"
      "ldr r9, [sp, #80]\n\t"
      "ldr r8, [sp, #16]\n\t"
      "ldr r11, [sp, #20]\n\t"
      "subs r4, r4, r0\n\t"
      "subs r5, r5, r1\n\t"
      "subs r6, r6, r2\n\t"
      "subs r7, r7, r3\n\t"
      "add.w r4, r8, r4, asr #8\n\t"
      "add.w r5, r11, r5, asr #8\n\t"
      "ldr r8, [sp, #24]\n\t"
      "ldr r11, [sp, #28]\n\t"
      "add.w r6, r8, r6, asr #8\n\t"
      "add.w r7, r11, r7, asr #8\n\t"
      "cmp r10, #0\n\t"
      "bne 5b\n\t"
      "ldr r8, [sp, #88]\n\t"
      "ldr r10, [sp, #92]\n\t"
      "add lr, r8\n\t"
      "str lr, [sp, #36]\n\t"
      "cmp r10, #0\n\t"
      "bne 11f\n\t"
      "ldr r10, [sp, #52]\n\t"
      "ldr r11, [sp, #56]\n\t"
      "ldr r8, [r10], #4\n\t"
      "ldrsb r12, [r11], #1\n\t"
      "ldr r9, [r10], #4\n\t"
      "ldrsb lr, [r11], #1\n\t"
      "str r10, [sp, #52]\n\t"
      "str r11, [sp, #56]\n\t"
      "ldr r10, [sp, #68]\n\t"
      "lsl.w r8, r8, #1\n\t"
      "lsl.w r9, r9, #1\n\t"
      "rsb.w r12, r12, #0\n\t"
      "rsb.w lr, lr, #0\n\t"
      REDS_REQUANTISE("r0", "r8", "r12", REDS_SIGN("r0"))
      REDS_REQUANTISE("r1", "r8", "r12", REDS_SIGN("r1"))
      REDS_REQUANTISE("r2", "r8", "r12", REDS_SIGN("r2"))
      REDS_REQUANTISE("r3", "r8", "r12", REDS_SIGN("r3"))
      REDS_REQUANTISE("r4", "r9", "lr", REDS_SIGN("r4"))
      REDS_REQUANTISE("r5", "r9", "lr", REDS_SIGN("r5"))
      REDS_REQUANTISE("r6", "r9", "lr", REDS_SIGN("r6"))
      REDS_REQUANTISE("r7", "r9", "lr", REDS_SIGN("r7"))
      "ldr r8, [sp, #84]\n\t"
      "cmp r8, #0\n\t"
      "bne.w 12f\n\t"
      "8:\n\t"
      "bfi r0, r4, #8, #8\n\t"
      "bfi r1, r5, #8, #8\n\t"
      "bfi r2, r6, #8, #8\n\t"
      "bfi r3, r7, #8, #8\n\t"
      "ldr r4, [sp, #60]\n\t"
      "ldr r5, [sp, #64]\n\t"
      "strh r1, [r4, r5]\n\t"
      "add.w r7, r4, r5, lsl #1\n\t"
      "strh.w r0, [r4], #2\n\t"
      "strh r2, [r7]\n\t"
      "strh r3, [r7, r5]\n\t"
      "str r4, [sp, #60]\n\t"
      "9:\n\t"
      "ldr r4, [sp, #44]\n\t"
      "subs r4, #1\n\t"
      "str r4, [sp, #44]\n\t"
      "bne.w 2b\n\t"
      "add sp, #96\n\t"
      "pop {r4-r11, pc}\n\t"
      /* Sums instead of outputs. */
      "10:\n\t"
      "ldm.w r8, {r0-r7}\n\t"
      "b 5b\n\t"
      "11:\n\t"
      "stm.w r10!, {r0-r7}\n\t"
      "str r10, [sp, #92]\n\t"
      "b 9b\n\t"
      /* Entries of the table. */
      "12:\n\t"
      "ldrsb r0, [r8, r0]\n\t"
      "ldrsb r1, [r8, r1]\n\t"
      "ldrsb r2, [r8, r2]\n\t"
      "ldrsb r3, [r8, r3]\n\t"
      "ldrsb r4, [r8, r4]\n\t"
      "ldrsb r5, [r8, r5]\n\t"
      "ldrsb r6, [r8, r6]\n\t"
      "ldrsb r7, [r8, r7]\n\t"
      "b 8b\n\t");
}

/* Segments that each fit a run: a row that is one long segment is cut. */
static int32_t segment_parts(const reds_rows *rows) {
  int32_t parts = 1;
  while (rows->halves % parts != 0 || rows->halves / parts > REDS_RUN_HALVES) ++parts;
  return parts;
}

/* Whether one call does all segments: none of several is cut. */
static inline int reds_takes_whole_rows(const reds_rows *rows) {
  return rows->count == 1 || rows->halves <= REDS_RUN_HALVES;
}

/* The shape of `rows`, or of their first segment where one call does not do all of them. */
static REDS_COLD void reds_make_four(const reds_rows *rows, int32_t pair_bytes, reds_four *four) {
  const int32_t parts = segment_parts(rows);
  four->halves = rows->halves / parts;
  four->count = (reds_takes_whole_rows(rows) ? rows->count : 1) * parts;
  four->period = REDS_RUN_HALVES / four->halves;
  four->skipped = parts == 1 ? rows->skipped : 0;
  four->rest = pair_bytes - four->count * (four->halves * REDS_HALF_BYTES + four->skipped);
}

/* Adds the products of `rows` to the sums of `pairs` row pairs, `pair_bytes` apart. */
static REDS_COLD void reds_sum_pairs(const reds_rows *rows, const uint32_t *patches,
                                     const int8_t *weights, int32_t pair_bytes, int32_t pairs,
                                     reds_block *sums) {
  const int32_t segments = reds_takes_whole_rows(rows) ? rows->count : 1;
  reds_four four = {.patches = patches, .weights = weights, .pairs = pairs, .sums = sums};
  reds_make_four(rows, pair_bytes, &four);
  for (int32_t done = 0; done < rows->count; done += segments) {
    reds_multiply_four_runs(&four);
    four.patches += segments * rows->halves * REDS_HALF_WORDS;
    four.weights += segments * (rows->halves * REDS_HALF_BYTES + rows->skipped);
  }
}

#endif /* REDS_BLOCK_DSP_H_ */
