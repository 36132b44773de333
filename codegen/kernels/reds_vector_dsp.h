/* The vector product in assembly, for cores with the DSP extension. Not public.
 *
 *   r0, r1     S0 of the two pairs      r4, r5  inputs of two halves      r11  inputs
 *   r2, r3     the mix sums             r6, r7  weights of pair 0         r12  weights of pair 0
 *   r10        low bytes of weights     r8, r9  weights of pair 1         lr   weights of pair 1
 * `reds_sum_vector` in plain C (reds_vector.h) is the specification. */
#ifndef REDS_VECTOR_DSP_H_
#define REDS_VECTOR_DSP_H_

/* One less for negatives turns half up into half away from zero. */
#define REDS_SIGN(x) "add.w " x ", " x ", " x ", asr #31\n\t"

/* Four inputs of four rows: 16 products in 18 instructions. */
#define REDS_GROUP            \
  "ldr.w r4, [r11], #4\n\t"   \
  "ldr.w r6, [r12], #4\n\t"   \
  "ldr.w r8, [lr], #4\n\t"    \
  "ldr.w r5, [r11], #4\n\t"   \
  "ldr.w r7, [r12], #4\n\t"   \
  "ldr.w r9, [lr], #4\n\t"    \
  "sxtb16 r10, r6\n\t"      \
  "smlad r2, r6, r4, r2\n\t"  \
  "smlad r0, r10, r4, r0\n\t" \
  "sxtb16 r10, r8\n\t"      \
  "smlad r3, r8, r4, r3\n\t"  \
  "smlad r1, r10, r4, r1\n\t" \
  "sxtb16 r10, r7\n\t"      \
  "smlad r2, r7, r5, r2\n\t"  \
  "smlad r0, r10, r5, r0\n\t" \
  "sxtb16 r10, r9\n\t"      \
  "smlad r3, r9, r5, r3\n\t"  \
  "smlad r1, r10, r5, r1\n\t"

/* All groups, four in a turn; [sp] holds where the inputs end. Entered `72 * n` bytes before label
 * 4, the first turn has n groups. */
#define REDS_GROUPS                           \
  ".balign 4\n"                               \
  "3:\n\t"                                    \
  REDS_GROUP REDS_GROUP REDS_GROUP REDS_GROUP \
  "4:\n\t"                                    \
  "ldr.w r10, [sp]\n\t"                       \
  "cmp r11, r10\n\t"                          \
  "bne.w 3b\n\t"

/* [sp, #4] = where to enter the loop for the number of groups in `groups`; uses it and r8. */
#define REDS_SET_GROUPS_ENTRY(groups)                   \
  "subs.w " groups ", " groups ", #1\n\t"               \
  "and.w " groups ", " groups ", #3\n\t"                \
  "add.w " groups ", " groups ", #1\n\t"                \
  "adr.w r8, 4f\n\t"                                    \
  "sub.w r8, r8, " groups ", lsl #6\n\t"                \
  "sub.w r8, r8, " groups ", lsl #3\n\t"                \
  "add.w r8, r8, #1\n\t"                                \
  "str.w r8, [sp, #4]\n\t"

/* Adds the products of `groups` groups to `sums`.
 * Stack: 0 end of inputs, 4 entry, 8 saved registers, 44 sums. */
static REDS_NAKED void reds_sum_vector(REDS_UNUSED const uint32_t *inputs,
                                       REDS_UNUSED const int8_t *pair0,
                                       REDS_UNUSED const int8_t *pair1, REDS_UNUSED int32_t groups,
                                       REDS_UNUSED reds_vector_sums *sums) {
  __asm__(
      "push {r4-r11, lr}\n\t"
      "sub sp, #8\n\t"
      "mov r11, r0\n\t"
      "mov r12, r1\n\t"
      "mov lr, r2\n\t"
      "add.w r4, r0, r3, lsl #3\n\t"
      "str r4, [sp]\n\t"
      REDS_SET_GROUPS_ENTRY("r3")
      "movs r0, #0\n\t"
      "movs r1, #0\n\t"
      "movs r2, #0\n\t"
      "movs r3, #0\n\t"
      "bx r8\n\t"
      REDS_GROUPS
      "ldr r12, [sp, #44]\n\t"
      "ldm.w r12, {r4-r7}\n\t"
      "subs r2, r2, r0\n\t"
      "subs r3, r3, r1\n\t"
      "adds r4, r4, r0\n\t"
      "add.w r5, r5, r2, asr #8\n\t"
      "adds r6, r6, r1\n\t"
      "add.w r7, r7, r3, asr #8\n\t"
      "stm.w r12, {r4-r7}\n\t"
      "add sp, #8\n\t"
      "pop {r4-r11, pc}\n\t");
}

/* What the functions below take. */
typedef struct {
  const uint32_t *inputs;
  const int8_t *weights;
  int32_t groups;
  int32_t quads;
  const int32_t *bias;
  const int32_t *multiplier;
  const int8_t *shift;
  int8_t *output;
  int32_t rounding; /* as in reds_four */
  int32_t pair_bytes;
} reds_quads;

/* The output of the sum in `x`, with its multiplier in `m` and its shift in byte `rotation` / 8 of
 * r8; r9 holds `rounding`, r12 the output. Uses r10. */
#define REDS_OUTPUT(x, m, rotation, sign)           \
  "sxtb.w r10, r8" rotation "\n\t"                  \
  "lsl.w " m ", " m ", #1\n\t"                      \
  "rsb.w r10, r10, #0\n\t"                          \
  "smmlar " x ", " x ", " m ", " x "\n\t" sign       \
  "asrs.w " x ", " x ", r10\n\t"                    \
  "sbc.w " x ", " x ", r9\n\t"                      \
  "ssat " x ", #8, " x "\n\t"                       \
  "strb.w " x ", [r12], #1\n\t"

/* r0 points to reds_quads. Stack: 0 end of inputs, 4 entry, 8 a copy of reds_quads. */
#define REDS_MULTIPLY_QUADS(sign0, sign1, sign2, sign3) \
  "push {r4-r11, lr}\n\t"                               \
  "sub sp, #48\n\t"                                     \
  "ldm.w r0!, {r4-r11}\n\t"                             \
  "add r12, sp, #8\n\t"                                 \
  "stm.w r12!, {r4-r11}\n\t"                            \
  "mov r2, r6\n\t"                                      \
  "add.w r4, r4, r6, lsl #3\n\t"                        \
  "ldm.w r0, {r5-r6}\n\t"                               \
  "str r4, [sp]\n\t"                                    \
  "stm.w r12, {r5-r6}\n\t"                              \
  REDS_SET_GROUPS_ENTRY("r2")                           \
  ".balign 4\n"                                         \
  "2:\n\t"                                              \
  "ldr r12, [sp, #12]\n\t"                              \
  "ldr r10, [sp, #44]\n\t"                              \
  "ldr r9, [sp, #24]\n\t"                               \
  "ldr r11, [sp, #8]\n\t"                               \
  "ldr r8, [sp, #4]\n\t"                                \
  "ldr r0, [r9]\n\t"                                    \
  "ldr r1, [r9, #8]\n\t"                                \
  "add.w lr, r12, r10\n\t"                              \
  "mov r2, r0\n\t"                                      \
  "add.w r4, lr, r10\n\t"                               \
  "mov r3, r1\n\t"                                      \
  "str r4, [sp, #12]\n\t"                               \
  "bx r8\n\t"                                           \
  REDS_GROUPS                                           \
  "ldr r10, [sp, #24]\n\t"                              \
  "ldr r9, [sp, #28]\n\t"                               \
  "ldr r11, [sp, #32]\n\t"                              \
  "ldr r12, [sp, #36]\n\t"                              \
  "ldr lr, [r10, #4]\n\t"                               \
  "ldr r8, [r10, #12]\n\t"                              \
  "subs r2, r2, r0\n\t"                                 \
  "subs r3, r3, r1\n\t"                                 \
  "add.w r2, lr, r2, asr #8\n\t"                        \
  "add.w r3, r8, r3, asr #8\n\t"                        \
  "ldm.w r9!, {r4-r7}\n\t"                              \
  "ldr r8, [r11], #4\n\t"                               \
  "add.w r10, r10, #16\n\t"                             \
  "str r9, [sp, #28]\n\t"                               \
  "str r10, [sp, #24]\n\t"                              \
  "str r11, [sp, #32]\n\t"                              \
  "ldr r9, [sp, #40]\n\t"                               \
  "ldr r11, [sp, #20]\n\t"                              \
  REDS_OUTPUT("r0", "r4", "", sign0)                    \
  REDS_OUTPUT("r2", "r5", ", ror #8", sign1)            \
  REDS_OUTPUT("r1", "r6", ", ror #16", sign2)           \
  REDS_OUTPUT("r3", "r7", ", ror #24", sign3)           \
  "subs.w r11, r11, #1\n\t"                             \
  "str r12, [sp, #36]\n\t"                              \
  "str r11, [sp, #20]\n\t"                              \
  "bne.w 2b\n\t"                                        \
  "add sp, #48\n\t"                                     \
  "pop {r4-r11, pc}\n\t"

static REDS_NAKED void reds_multiply_quads_signed(REDS_UNUSED const reds_quads *quads) {
  __asm__(REDS_MULTIPLY_QUADS(REDS_SIGN("r0"), REDS_SIGN("r2"), REDS_SIGN("r1"), REDS_SIGN("r3")));
}

/* The outputs of all whole groups of four channels; returns how many channels these are. For rows
 * of at most REDS_RUN_GROUPS, and simple outputs. */
static inline int32_t reds_multiply_quads(const reds_vector_rows *rows, const reds_outputs *outputs,
                                          const int8_t *filter, int32_t channels,
                                          const uint32_t *inputs, int8_t *output) {
  const reds_quads quads = {inputs,       filter,
                            rows->groups, channels / 4,
                            outputs->bias, outputs->multiplier,
                            outputs->shift, output,
                            -1 - outputs->offset, rows->pair_bytes};
  if (quads.quads == 0) return 0;
  reds_multiply_quads_signed(&quads);
  return channels & ~3;
}

#endif /* REDS_VECTOR_DSP_H_ */
