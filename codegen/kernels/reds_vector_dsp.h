/* The vector product in assembly, for cores with the DSP extension. Part of
 * reds_vector.c.
 *
 *   r0, r1     S0 of the two pairs      r4, r5  inputs of two halves      r8   end of the inputs
 *   r2, r3     the mix sums             r6, r7  weights of two halves     r9   output
 *   r10, lr    weights of both pairs    r11     inputs                    r12  low bytes of weights
 * The plain C of reds_vector_plain.h is the specification. */
#ifndef REDS_VECTOR_DSP_H_
#define REDS_VECTOR_DSP_H_

/* Two inputs of two rows, added to s (S0) and m (mix). */
#define REDS_VECTOR_HALF(w, x, s, m) \
  "sxtb16 r12, " w "\n\t"            \
  "smlad " m ", " w ", " x ", " m "\n\t" \
  "smlad " s ", r12, " x ", " s "\n\t"

/* Four inputs of four rows: 16 products in 15 instructions, 60 bytes. */
#define REDS_VECTOR_GROUP                 \
  "ldrd r4, r5, [r11], #8\n\t"            \
  "ldrd r6, r7, [r10], #8\n\t"            \
  REDS_VECTOR_HALF("r6", "r4", "r0", "r2") \
  REDS_VECTOR_HALF("r7", "r5", "r0", "r2") \
  "ldrd r6, r7, [lr], #8\n\t"             \
  REDS_VECTOR_HALF("r6", "r4", "r1", "r3") \
  REDS_VECTOR_HALF("r7", "r5", "r1", "r3")

/* The output of the sum in `x` with the multiplier `m`; the shift in r10, `rounding` in r11. One
 * less for negatives turns half up into half away from zero. */
#define REDS_VECTOR_OUTPUT(x, m)           \
  "lsls " m ", " m ", #1\n\t"              \
  "smmlar " x ", " x ", " m ", " x "\n\t"  \
  "add.w " x ", " x ", " x ", asr #31\n\t" \
  "asrs.w " x ", " x ", r10\n\t"           \
  "sbc.w " x ", " x ", r11\n\t"            \
  "ssat " x ", #8, " x "\n\t"              \
  "strb " x ", [r9], #1\n\t"

/* The outputs of a turn; to label 6 with a shift to the left. The sums are still S0 and, in r2 and
 * r3, 256 * S1. Of the shifts, r10 holds four, inverted: one less than what is shifted right. */
#define REDS_VECTOR_OUTPUTS        \
  "ldrd r10, r11, [sp, #52]\n\t"   \
  "add.w r10, r10, r9, lsl #2\n\t" \
  "add.w r11, r11, r9, lsl #2\n\t" \
  "ldm.w r10, {r4-r7}\n\t"         \
  "adds r0, r0, r4\n\t"            \
  "add.w r2, r5, r2, asr #8\n\t"   \
  "adds r1, r1, r6\n\t"            \
  "add.w r3, r7, r3, asr #8\n\t"   \
  "ldm.w r11, {r4-r7}\n\t"         \
  "ldr.w r10, [sp, #60]\n\t"       \
  "ldr.w r11, [sp, #64]\n\t"       \
  "ldr.w r12, [sp, #68]\n\t"       \
  "ldr.w r10, [r10, r9]\n\t"       \
  "mvn.w r10, r10\n\t"             \
  "tst.w r10, #0x80808080\n\t"     \
  "bne.n 6f\n\t"                   \
  "add.w r10, r10, #0x01010101\n\t" \
  REDS_VECTOR_OUTPUT("r0", "r4")   \
  "lsr.w r10, r10, #8\n\t"         \
  REDS_VECTOR_OUTPUT("r2", "r5")   \
  "lsr.w r10, r10, #8\n\t"         \
  REDS_VECTOR_OUTPUT("r1", "r6")   \
  "lsr.w r10, r10, #8\n\t"         \
  REDS_VECTOR_OUTPUT("r3", "r7")

/* Groups are done five in a turn, in the first one what is left of them. Stack: 0 skipped,
 * 4 inputs, 8 pair_bytes, 12 entry of the first turn, 16 saved registers, 52 bias, 56 multiplier,
 * 60 shift, 64 rounding, 68 output_end, 72 weights, 76 output. */
__attribute__((naked)) uintptr_t reds_multiply_rows(
    REDS_UNUSED int32_t skipped, REDS_UNUSED const uint32_t *inputs, REDS_UNUSED int32_t pair_bytes,
    REDS_UNUSED int32_t input_bytes, REDS_UNUSED uintptr_t bias,
    REDS_UNUSED uintptr_t multiplier, REDS_UNUSED uintptr_t shift, REDS_UNUSED int32_t rounding,
    REDS_UNUSED uintptr_t output_end, REDS_UNUSED uintptr_t weights, REDS_UNUSED uintptr_t output) {
  __asm__(
      "push {r0-r11, lr}\n\t"
      "add.w r8, r1, r3\n\t"
      "subs r3, r3, #4\n\t"
      "lsrs r3, r3, #3\n\t"
      "movs r4, #13\n\t" /* 13 n / 64 is n / 5 for n < REDS_RUN_GROUPS */
      "muls r4, r3, r4\n\t"
      "lsrs r5, r4, #6\n\t"
      "movs r4, #5\n\t"
      "mls r3, r5, r4, r3\n\t" /* groups of the first turn, less one */
      "adr.w r4, 4f + 1\n\t"
      "sub.w r4, r4, r3, lsl #6\n\t"
      "add.w r4, r4, r3, lsl #2\n\t"
      "str r4, [sp, #12]\n\t"
      "ldr.w r9, [sp, #76]\n\t"
      "ldr.w lr, [sp, #72]\n"
      "2: ldm.w sp, {r10, r11, r12}\n\t"
      "add.w r10, r10, lr\n\t"
      "add.w lr, r10, r12\n\t"
      "movs r0, #0\n\t"
      "movs r1, #0\n\t"
      "movs r2, #0\n\t"
      "movs r3, #0\n\t"
      "ldr.w pc, [sp, #12]\n\t"
      ".balign 4\n"
      "3:\n\t"
      REDS_VECTOR_GROUP REDS_VECTOR_GROUP REDS_VECTOR_GROUP REDS_VECTOR_GROUP
      "4:\n\t"
      REDS_VECTOR_GROUP
      "cmp r11, r8\n\t"
      "blo.w 3b\n\t"
      "sub.w r2, r2, r0\n\t"
      "sub.w r3, r3, r1\n\t"
      "bhi.n 5f\n\t"
      REDS_VECTOR_OUTPUTS
      "cmp r9, r12\n\t"
      "bne.w 2b\n\t"
      "6: mov r0, r9\n\t"
      "add sp, #16\n\t"
      "pop {r4-r11, pc}\n\t"
      "5: ldm.w r9, {r4-r7}\n\t"
      "adds r4, r4, r0\n\t"
      "add.w r5, r5, r2, asr #8\n\t"
      "adds r6, r6, r1\n\t"
      "add.w r7, r7, r3, asr #8\n\t"
      "stm.w r9, {r4-r7}\n\t"
      "b.n 6b\n\t");
}

/* Adds the products of `groups` groups to `sums`. */
static inline void reds_sum_vector(const uint32_t *inputs, const int8_t *pair0,
                                   const int8_t *pair1, int32_t groups, reds_vector_sums *sums) {
  const uintptr_t row = (uintptr_t)sums->row;
  reds_multiply_rows(0, inputs, pair1 - pair0, groups * REDS_GROUP_BYTES - 4, 0, 0, 0, 0, 0,
                       (uintptr_t)pair0, row);
}

#endif /* REDS_VECTOR_DSP_H_ */
