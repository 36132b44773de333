/* The fast body of the depthwise 3x3 convolution: the lines of two channels, in assembly, for cores
 * with the DSP extension and an FPU, whose registers hold what does not fit the core's. Not public.
 *
 * Two neighbouring channels are gathered together, one halfword a position, into a ring of three
 * lines of int16 for each. The words (pairs of positions) of the three lines are interleaved:
 *
 *   word 0 of slot 0, 1, 2; word 1 of slot 0, 1, 2; ...
 *
 * so that one LDM reads all that two outputs need beyond the pair before. A line overwrites the
 * oldest one; instead of the lines, the weights rotate: `weights` holds rows 1, 2, 0, 1, 2. */
#ifndef REDS_DEPTHWISE_LINES_H_
#define REDS_DEPTHWISE_LINES_H_

#include "reds_depthwise_layer.h"

#if defined(REDS_DSP) && defined(__ARM_FP) && !defined(REDS_MVE)
#define REDS_LINES 1

/* The loop that makes pairs, and where it is entered: simple pairs come out the same however their
 * negative values are rounded, and are not looked up. */
#define REDS_SIMPLE_PAIRS(pairs) ((uint32_t)(pairs) % 4)
#define REDS_OTHER_PAIRS 4

/* Of one channel. The first six words go to s0 .. s5. */
typedef struct {
  int32_t start;      /* of each sum: twice (bias - zero point * sum of the weights) */
  int32_t multiplier; /* s1 */
  uint32_t scaling;   /* s2: shift | step between outputs << 8 | zero point of the output << 24 */
  const reds_words *words;
  const reds_words *pairs_end; /* s4: one behind the word of the last pair */
  const reds_words *words_end; /* s5 */
  int8_t *output;              /* +24: of the next line */
  uint32_t mode;               /* +28: REDS_SIMPLE_PAIRS or REDS_OTHER_PAIRS */
  uint32_t weights[10];        /* twice the weights: (first, middle), (middle, last) of each row */
} reds_channel;

/* Of all channels. The first eight words go to s6 .. s13. */
typedef struct {
  int32_t line;         /* s6: the next input line; above the input it is negative */
  int32_t lines;        /* s7: of the input */
  int32_t slot;         /* s8: 4 * slot of the next line - 12; written back */
  int32_t stride;       /* s9: lines from one output line to the next */
  int32_t outputs;      /* s10: output lines */
  const int8_t *input;  /* s11: the next line */
  int32_t output_line;  /* s12: bytes from one output line to the next */
  const int8_t *lookup; /* s13: entry 0 of a fused table, or null */
  int8_t *target;       /* +0: the place of a line's first value in slot 0, + 12 */
  int32_t step;         /* +4: bytes from one input value to the next */
  int32_t distance;     /* +8: bytes from the words of the first channel to those of the second */
  int32_t input_line;   /* +12: bytes from one input line to the next */
  int32_t fours;        /* +16: values of a line: those behind an odd first one, / 4 */
  int32_t rest;         /* +20: and % 4 */
  int32_t three_steps;  /* +24 */
  uint32_t zero;        /* +28: a pair of zero points */
  int32_t fill;         /* +32: words in a line, even */
  reds_words *words;    /* +36: of the first channel */
  int32_t missing;      /* +40: lines to gather before the first output line */
  int32_t kept;         /* lines of padding from one pair of channels to the next: 0 or 1 */
} reds_lines;

/* The sums of two outputs, times the multiplier (doubled sums: (x * m + 2^30) / 2^31 is SMMULR).
 * r1 .. r3 hold the words of three lines, r4 .. r9 the weights, r0 points to the next words. */
#define REDS_SUM_PAIR            \
  "vmov r11, s0\n\t"             \
  "smlad r10, r1, r4, r11\n\t"   \
  "smlatb r11, r1, r4, r11\n\t"  \
  "smlad r10, r2, r6, r10\n\t"   \
  "smlatb r11, r2, r6, r11\n\t"  \
  "smlad r10, r3, r8, r10\n\t"   \
  "smlatb r11, r3, r8, r11\n\t"  \
  "ldm r0!, {r1, r2, r3}\n\t"    \
  "smlabt r10, r1, r5, r10\n\t"  \
  "smlad r11, r1, r5, r11\n\t"   \
  "smlabt r10, r2, r7, r10\n\t"  \
  "smlad r11, r2, r7, r11\n\t"   \
  "smlabt r10, r3, r9, r10\n\t"  \
  "smlad r11, r3, r9, r11\n\t"   \
  "vmov r12, s1\n\t"             \
  "smmulr r10, r10, r12\n\t"     \
  "smmulr r11, r11, r12\n\t"     \
  "vmov r12, s2\n\t"

/* One less for negatives turns half up into half away from zero. */
#define REDS_ROUND_PAIR             \
  "add r10, r10, r10, asr #31\n\t"  \
  "add r11, r11, r11, asr #31\n\t"

/* Shift, round (the carry is the last bit shifted out), add the zero point, saturate. */
#define REDS_SCALE_PAIR             \
  "asrs r10, r10, r12\n\t"          \
  "adc r10, r10, r12, asr #24\n\t"  \
  "asrs r11, r11, r12\n\t"          \
  "adc r11, r11, r12, asr #24\n\t"  \
  "ssat r10, #8, r10\n\t"

/* The fused table. */
#define REDS_LOOKUP_PAIR       \
  "ssat r11, #8, r11\n\t"      \
  "vmov r12, s13\n\t"          \
  "ldrsb r10, [r12, r10]\n\t"  \
  "ldrsb r11, [r12, r11]\n\t"  \
  "vmov r12, s2\n\t"

/* At lr, r12 holding the step. An address is not used right after its computation. */
#define REDS_STORE_PAIR            \
  "strb r10, [lr]\n\t"             \
  "uxtah lr, lr, r12, ror #8\n\t"  \
  "ssat r11, #8, r11\n\t"          \
  "strb r11, [lr]\n\t"             \
  "uxtah lr, lr, r12, ror #8\n\t"

/* One output, up to the saturation. */
#define REDS_SUM_SINGLE             \
  "vmov r12, s0\n\t"                \
  "smlad r10, r1, r4, r12\n\t"      \
  "smlad r10, r2, r6, r10\n\t"      \
  "smlad r10, r3, r8, r10\n\t"      \
  "ldm r0!, {r1, r2, r3}\n\t"       \
  "smlabt r10, r1, r5, r10\n\t"     \
  "smlabt r10, r2, r7, r10\n\t"     \
  "smlabt r10, r3, r9, r10\n\t"     \
  "vmov r12, s1\n\t"                \
  "smmulr r10, r10, r12\n\t"        \
  "vmov r12, s2\n\t"                \
  "add r10, r10, r10, asr #31\n\t"  \
  "asrs r10, r10, r12\n\t"          \
  "adc r10, r10, r12, asr #24\n\t"  \
  "ssat r10, #8, r10\n\t"

#define REDS_LOOKUP_SINGLE     \
  "vmov r12, s13\n\t"          \
  "ldrsb r10, [r12, r10]\n\t"  \
  "vmov r12, s2\n\t"

#define REDS_STORE_SINGLE          \
  "strb r10, [lr]\n\t"             \
  "uxtah lr, lr, r12, ror #8\n\t"

/* Four positions of two channels. */
#define REDS_GATHER_FOUR             \
  "ldrh r8, [r1]\n\t"                \
  "ldrh r9, [r1, r2]\n\t"            \
  "ldrh r12, [r1, r2, lsl #1]\n\t"   \
  "ldrh lr, [r1, r7]\n\t"            \
  "add r1, r1, r2, lsl #2\n\t"       \
  "pkhbt r8, r8, r9, lsl #16\n\t"    \
  "pkhbt r12, r12, lr, lsl #16\n\t"  \
  "sxtb16 r9, r8\n\t"                \
  "sxtb16 r8, r8, ror #8\n\t"        \
  "sxtb16 lr, r12\n\t"               \
  "sxtb16 r12, r12, ror #8\n\t"      \
  "str r9, [r0], #24\n\t"            \
  "str lr, [r0, #-12]\n\t"           \
  "str r8, [r3], #24\n\t"            \
  "str r12, [r3, #-12]\n\t"

_Static_assert(offsetof(reds_channel, output) == 24 && sizeof(reds_channel) == 72 &&
                   offsetof(reds_lines, target) == 32 && offsetof(reds_lines, missing) == 72,
               "reds_convolve_lines knows these places");

/* All output lines of the channels first .. end - 1, at most two. `used`: the compiler does not see
 * that the function reads its arguments.
 *
 *   1  next output line    2  gather or fill (9) lines   12  next channel   13  simple pairs
 *   19 other pairs         24 with a table               17, 28 what is left, one at a time */
static __attribute__((naked, noinline, used)) void reds_convolve_lines(
    reds_lines *lines __attribute__((unused)), reds_channel *first __attribute__((unused)),
    reds_channel *end __attribute__((unused))) {
  __asm__(
      /* r0 lines, r1 first channel, r2 behind the last channel */
      "vldm r0!, {s6-s13}\n\t"
      "push {r0-r2, r4-r11, lr}\n\t"
      "ldr r10, [r0, #40]\n\t"
      "b 2f\n\t"

      /* Gather a line of two channels: r10 of them; r11 is the slot. */
      "1: vmov r10, s9\n\t"
      "2: vmov r11, s8\n\t"
      "3: vmov r0, s6\n\t"
      "vmov r1, s7\n\t"
      "ldr lr, [sp]\n\t"
      "cmp r0, r1\n\t"
      "add r0, r0, #1\n\t"
      "vmov s6, r0\n\t"
      "bhs 9f\n\t"
      "ldm lr, {r0, r2-r7}\n\t"
      "vmov r1, s11\n\t"
      "add r4, r4, r1\n\t"
      "vmov s11, r4\n\t"
      "add r0, r0, r11\n\t"
      "add r3, r3, r0\n\t"
      "tst r0, #2\n\t"
      "beq 4f\n\t"
      "ldrsb r8, [r1]\n\t"
      "ldrsb r9, [r1, #1]\n\t"
      "add r1, r1, r2\n\t"
      "strh r8, [r0], #10\n\t"
      "strh r9, [r3], #10\n\t"
      "4: cbz r5, 6f\n\t"
      "5:\n\t"
      REDS_GATHER_FOUR
      "subs r5, r5, #1\n\t"
      "bne 5b\n\t"
      "6: cbz r6, 11f\n\t"
      "7: subs r6, r6, #2\n\t"
      "blt 8f\n\t"
      "ldrh r8, [r1]\n\t"
      "ldrh r9, [r1, r2]\n\t"
      "add r1, r1, r2, lsl #1\n\t"
      "pkhbt r8, r8, r9, lsl #16\n\t"
      "sxtb16 r9, r8\n\t"
      "sxtb16 r8, r8, ror #8\n\t"
      "str r9, [r0], #12\n\t"
      "str r8, [r3], #12\n\t"
      "bne 7b\n\t"
      "b 11f\n\t"
      "8: ldrsb r8, [r1]\n\t"
      "ldrsb r9, [r1, #1]\n\t"
      "strh r8, [r0]\n\t"
      "strh r9, [r3]\n\t"
      "b 11f\n\t"

      /* Or fill it with the zero point. */
      "9: ldr r3, [lr, #8]\n\t"
      "ldrd r1, r2, [lr, #28]\n\t"
      "ldr r0, [lr, #36]\n\t"
      "add r0, r0, r11\n\t"
      "add r0, r0, #12\n\t"
      "add r3, r3, r0\n\t"
      "10: str r1, [r0], #24\n\t"
      "str r1, [r3], #24\n\t"
      "str r1, [r0, #-12]\n\t"
      "str r1, [r3, #-12]\n\t"
      "subs r2, r2, #2\n\t"
      "bne 10b\n\t"
      "11: adds r11, r11, #4\n\t"
      "it eq\n\t"
      "mvneq r11, #11\n\t"
      "vmov s8, r11\n\t"
      "subs r10, r10, #1\n\t"
      "bne 3b\n\t"

      /* An output line of each channel: simple pairs ... */
      "ldr r0, [sp, #4]\n\t"
      "12: vldm r0!, {s0-s5}\n\t"
      "ldrd lr, r10, [r0]\n\t"
      "vmov r12, s12\n\t"
      "add r12, r12, lr\n\t"
      "str r12, [r0]\n\t"
      "sub r3, r0, r11, lsl #1\n\t"
      "add r0, r0, #48\n\t"
      "vmov s14, r0\n\t"
      "ldm r3, {r4-r9}\n\t"
      "vmov r0, s3\n\t"
      "ldm r0!, {r1, r2, r3}\n\t"
      "lsls r10, r10, #30\n\t"
      "bcs 19f\n\t"
      "bmi 18f\n\t"
      "bne 16f\n\t"
      "13:\n\t"
      REDS_SUM_PAIR REDS_SCALE_PAIR REDS_STORE_PAIR
      "14:\n\t"
      REDS_SUM_PAIR REDS_SCALE_PAIR REDS_STORE_PAIR
      "15:\n\t"
      REDS_SUM_PAIR REDS_SCALE_PAIR REDS_STORE_PAIR
      "16:\n\t"
      REDS_SUM_PAIR REDS_SCALE_PAIR REDS_STORE_PAIR
      "vmov r12, s4\n\t"
      "cmp r0, r12\n\t"
      "bne 13b\n\t"

      /* ... then what is left, one at a time. */
      "17: vmov r11, s5\n\t"
      "cmp r0, r11\n\t"
      "beq 23f\n\t"
      "22:\n\t"
      REDS_SUM_SINGLE REDS_STORE_SINGLE
      "cmp r0, r11\n\t"
      "bne 22b\n\t"
      "23: vmov r0, s14\n\t"
      "vmov r11, s8\n\t"
      "ldr r1, [sp, #8]\n\t"
      "cmp r0, r1\n\t"
      "bne 12b\n\t"
      "vmov r0, s10\n\t"
      "subs r0, r0, #1\n\t"
      "vmov s10, r0\n\t"
      "bne 1b\n\t"
      "ldr r0, [sp]\n\t"
      "str r11, [r0, #-24]\n\t"
      "pop {r0-r2, r4-r11, pc}\n\t"

      /* Enter the loop of four pairs in the middle. */
      "18: lsls r10, r10, #1\n\t"
      "beq 15b\n\t"
      "b 14b\n\t"

      /* Other pairs: those whose negative values count ... */
      "19: vmov r11, s13\n\t"
      "vmov r12, s4\n\t"
      "cmp r11, #0\n\t"
      "bne 25f\n\t"
      "b 21f\n\t"
      "20:\n\t"
      REDS_SUM_PAIR REDS_ROUND_PAIR REDS_SCALE_PAIR REDS_STORE_PAIR
      "vmov r12, s4\n\t"
      "21: cmp r0, r12\n\t"
      "bne 20b\n\t"
      "b 17b\n\t"

      /* ... and those that are looked up. */
      "24:\n\t"
      REDS_SUM_PAIR REDS_ROUND_PAIR REDS_SCALE_PAIR REDS_LOOKUP_PAIR REDS_STORE_PAIR
      "vmov r12, s4\n\t"
      "25: cmp r0, r12\n\t"
      "bne 24b\n\t"
      "28: vmov r11, s5\n\t"
      "cmp r0, r11\n\t"
      "beq 23b\n\t"
      "29:\n\t"
      REDS_SUM_SINGLE REDS_LOOKUP_SINGLE REDS_STORE_SINGLE
      "cmp r0, r11\n\t"
      "bne 29b\n\t"
      "b 23b\n\t");
}

#endif
#endif /* REDS_DEPTHWISE_LINES_H_ */
