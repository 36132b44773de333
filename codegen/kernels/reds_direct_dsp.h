/* Int8 inputs times two row pairs in assembly, for cores with the DSP extension. Part of
 * reds_direct.h.
 *
 *   r0, r1     S0 of the two pairs      r4, r5  inputs of two halves      r8   end of the run
 *   r2, r3     the mix sums             r6, r7  weights of two halves     r9   input offset, twice
 *   r10, lr    weights of both pairs    r11     inputs                    r12  low bytes of weights
 * The plain C of reds_direct_plain.h is the specification. */
#ifndef REDS_DIRECT_DSP_H_
#define REDS_DIRECT_DSP_H_

/* Two inputs of two rows, added to s (S0) and m (mix). */
#define REDS_DIRECT_HALF(w, x, s, m)     \
  "sxtb16 r12, " w "\n\t"                \
  "smlad " m ", " w ", " x ", " m "\n\t" \
  "smlad " s ", r12, " x ", " s "\n\t"

/* Four inputs of four rows: 16 products in 17 instructions, 68 bytes. */
#define REDS_DIRECT_GROUP                  \
  "ldr.w r5, [r11], #4\n\t"                \
  "sxtab16 r4, r9, r5\n\t"                 \
  "sxtab16 r5, r9, r5, ror #8\n\t"         \
  "ldrd r6, r7, [r10], #8\n\t"             \
  REDS_DIRECT_HALF("r6", "r4", "r0", "r2") \
  REDS_DIRECT_HALF("r7", "r5", "r0", "r2") \
  "ldrd r6, r7, [lr], #8\n\t"              \
  REDS_DIRECT_HALF("r6", "r4", "r1", "r3") \
  REDS_DIRECT_HALF("r7", "r5", "r1", "r3")

/* Adds the products of the runs to `sums`; at least one, of at least one group. Groups are done
 * four in a turn, in the first one what is left of them.
 *
 * Stack: 0 runs left, 4 entry of the first turn, 8 runs, 12 saved registers, 48 sums. */
static REDS_NAKED void reds_add_groups(REDS_UNUSED const reds_runs *runs,
                                       REDS_UNUSED const int8_t *input,
                                       REDS_UNUSED const int8_t *pair0,
                                       REDS_UNUSED const int8_t *pair1, REDS_UNUSED int32_t *sums) {
  __asm__(
      "push {r0, r4-r11, lr}\n\t"
      "mov r11, r1\n\t"
      "mov r10, r2\n\t"
      "mov lr, r3\n\t"
      "ldm.w r0, {r4, r5, r9}\n\t"
      "add.w r8, r11, r5\n\t"
      "pkhbt r9, r9, r9, lsl #16\n\t"
      "lsrs r5, r5, #2\n\t"
      "subs r5, r5, #1\n\t"
      "and.w r5, r5, #3\n\t" /* groups of the first turn, less one */
      "adr.w r6, 4f + 1\n\t"
      "sub.w r6, r6, r5, lsl #6\n\t"
      "sub.w r6, r6, r5, lsl #2\n\t"
      "push {r4, r6}\n\t"
      "movs r0, #0\n\t"
      "movs r1, #0\n\t"
      "movs r2, #0\n\t"
      "movs r3, #0\n\t"
      "bx r6\n\t"
      ".balign 4\n"
      "3:\n\t"
      REDS_DIRECT_GROUP REDS_DIRECT_GROUP REDS_DIRECT_GROUP
      "4:\n\t"
      REDS_DIRECT_GROUP
      "cmp r11, r8\n\t"
      "bne.w 3b\n\t"
      "ldrd r4, r5, [sp]\n\t"
      "ldr.w r12, [sp, #8]\n\t"
      "subs r4, r4, #1\n\t"
      "beq.n 5f\n\t"
      "str.w r4, [sp]\n\t"
      "ldrd r6, r7, [r12, #12]\n\t"
      "ldr.w r8, [r12, #4]\n\t"
      "add.w r11, r11, r6\n\t"
      "add.w r10, r10, r7\n\t"
      "add.w lr, lr, r7\n\t"
      "add.w r8, r8, r11\n\t"
      "bx r5\n"
      "5: ldr.w r9, [sp, #48]\n\t"
      "ldm.w r9, {r4-r7}\n\t"
      "subs r2, r2, r0\n\t"
      "subs r3, r3, r1\n\t"
      "adds r4, r4, r0\n\t"
      "add.w r5, r5, r2, asr #8\n\t"
      "adds r6, r6, r1\n\t"
      "add.w r7, r7, r3, asr #8\n\t"
      "stm.w r9, {r4-r7}\n\t"
      "add sp, #12\n\t"
      "pop {r4-r11, pc}\n\t");
}

#endif /* REDS_DIRECT_DSP_H_ */
