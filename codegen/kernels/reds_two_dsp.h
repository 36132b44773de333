/* The product of all row pairs and two positions in assembly, for cores with the DSP extension. Not
 * public.
 *
 * Patches are as in reds_block.h, but of two positions.
 *
 *   r0, r1  S0 at the two positions    r8   weights: the mix of two inputs    r2  end of the patches
 *   r4, r5  the mix sums               r9   their low bytes                   r3  entry of the loop
 *   r12     patches                    r10, r11  inputs of the positions      r7  pairs left
 *   lr      weights
 * It computes what reds_block_plain.h specifies for four. */
#ifndef REDS_TWO_DSP_H_
#define REDS_TWO_DSP_H_

#include "reds_requantise_dsp.h"

/* One half: two inputs of two rows at two positions, 8 products in 8 instructions, 32 bytes. */
#define REDS_TWO_HALF         \
  "ldr.w r8, [lr], #4\n\t"    \
  "ldr.w r10, [r12, #4]\n\t"  \
  "ldr.w r11, [r12], #8\n\t"  \
  "sxtb16 r9, r8\n\t"         \
  "smlad r1, r9, r10, r1\n\t" \
  "smlad r5, r8, r10, r5\n\t" \
  "smlad r0, r9, r11, r0\n\t" \
  "smlad r4, r8, r11, r4\n\t"
#define REDS_TWO_HALVES REDS_TWO_HALF REDS_TWO_HALF

/* One segment of at most REDS_RUN_HALVES, no look-up; any zero point. Halves are done eight in a
 * turn, in the first one what is left of them.
 *
 * Stack: 0 bias, 4 multiplier, 8 shift, 12 output, 16 stride, 20 rounding, 24 skipped,
 * 28 patches. */
static REDS_NAKED void reds_multiply_two(REDS_UNUSED const reds_four *four) {
  __asm__(
      "push {r4-r11, lr}\n\t"
      "sub sp, #36\n\t"
      "ldm.w r0!, {r4-r11}\n\t"
      "ldm.w r0, {r1-r3}\n\t"
      "strd r8, r9, [sp]\n\t"
      "strd r10, r11, [sp, #8]\n\t"
      "strd r1, r2, [sp, #16]\n\t"
      "strd r3, r4, [sp, #24]\n\t"
      "mov lr, r5\n\t"
      "add.w r2, r4, r6, lsl #3\n\t"
      "subs r6, r6, #1\n\t"
      "and.w r6, r6, #7\n\t" /* halves of the first turn, less one */
      "adr.w r3, 4f + 1\n\t"
      "sub.w r3, r3, r6, lsl #5\n\t"
      "2: ldr.w r8, [sp]\n\t"
      "ldr.w r12, [sp, #28]\n\t"
      "ldr.w r0, [r8]\n\t"
      "mov r1, r0\n\t"
      "mov r4, r0\n\t"
      "mov r5, r0\n\t"
      "bx r3\n\t"
      ".balign 4\n"
      "3:\n\t"
      REDS_TWO_HALVES REDS_TWO_HALVES REDS_TWO_HALVES REDS_TWO_HALF
      "4:\n\t"
      REDS_TWO_HALF
      "cmp r12, r2\n\t"
      "bne.w 3b\n\t"
      "ldm.w sp, {r6, r10, r11}\n\t"
      "subs r4, r4, r0\n\t"
      "subs r5, r5, r1\n\t"
      "ldr.w r8, [r6, #4]\n\t"
      "add.w r6, r6, #8\n\t"
      "add.w r4, r8, r4, asr #8\n\t"
      "add.w r5, r8, r5, asr #8\n\t"
      "ldr.w r8, [r10], #4\n\t"
      "ldr.w r9, [r10], #4\n\t"
      "ldrsb.w r12, [r11], #1\n\t"
      "str.w r6, [sp]\n\t"
      "ldrsb.w r6, [r11], #1\n\t"
      "strd r10, r11, [sp, #4]\n\t"
      "ldr.w r10, [sp, #20]\n\t"
      "lsl.w r8, r8, #1\n\t"
      "lsl.w r9, r9, #1\n\t"
      "rsb.w r12, r12, #0\n\t"
      "rsb.w r6, r6, #0\n\t"
      REDS_REQUANTISE("r0", "r8", "r12", REDS_SIGN("r0"))
      REDS_REQUANTISE("r1", "r8", "r12", REDS_SIGN("r1"))
      REDS_REQUANTISE("r4", "r9", "r6", REDS_SIGN("r4"))
      REDS_REQUANTISE("r5", "r9", "r6", REDS_SIGN("r5"))
      "ldrd r12, r8, [sp, #12]\n\t"
      "ldr.w r9, [sp, #24]\n\t"
      "bfi r0, r4, #8, #8\n\t"
      "bfi r1, r5, #8, #8\n\t"
      "strh.w r1, [r12, r8]\n\t"
      "strh.w r0, [r12], #2\n\t"
      "str.w r12, [sp, #12]\n\t"
      "add.w lr, lr, r9\n\t"
      "subs r7, r7, #1\n\t"
      "bne.w 2b\n\t"
      "add sp, #36\n\t"
      "pop {r4-r11, pc}\n\t");
}

#endif /* REDS_TWO_DSP_H_ */
