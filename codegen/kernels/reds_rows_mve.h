/* The product of four weight rows and one vector, with vector instructions. Not public.
 *
 * Inputs are int8 in the packed order, the last group filled up with the zero point. Loads that
 * take every second byte separate the two rows of a pair: the low byte of a mix is a weight of the
 * even row, the high byte one of the odd row, less one where the low byte is negative. Beside the
 * products, the weights are summed up, for what the input offset adds.
 *
 *   r5      inputs           r0 r2, r4 r6    sums of the products of four rows
 *   r1, r3  two row pairs    r8 r10, r12 lr  sums of their weights
 *   r7      sixteens left    r9              inputs behind them */
#ifndef REDS_ROWS_MVE_H_
#define REDS_ROWS_MVE_H_

#include "reds_mve.h"

typedef struct {
  int32_t products[REDS_LANES];
  int32_t weights[REDS_LANES];
} reds_row_sums;

/* 16 inputs of two rows. */
#define REDS_PAIR_SIXTEEN(pair, even, odd, even_sum, odd_sum) \
  "vld20.8 {q0, q1}, [" pair "]\n\t"                          \
  "vld21.8 {q0, q1}, [" pair "]!\n\t"                         \
  "vshr.s8 q3, q0, #7\n\t"                                    \
  "vsub.i8 q1, q1, q3\n\t"                                    \
  "vmladava.s8 " even ", q0, q2\n\t"                          \
  "vaddva.s8 " even_sum ", q0\n\t"                            \
  "vmladava.s8 " odd ", q1, q2\n\t"                           \
  "vaddva.s8 " odd_sum ", q1\n\t"

/* Up to eight, as int16; the weights in q0. */
#define REDS_PAIR_EIGHT(even, odd, even_sum, odd_sum) \
  "vmovlb.s8 q3, q0\n\t"                              \
  "vrshr.s16 q0, q0, #8\n\t"                          \
  "vmladava.s16 " even ", q3, q2\n\t"                 \
  "vaddva.s16 " even_sum ", q3\n\t"                   \
  "vmladava.s16 " odd ", q0, q2\n\t"                  \
  "vaddva.s16 " odd_sum ", q0\n\t"

static REDS_NAKED void reds_sum_four_rows(REDS_UNUSED const int8_t *inputs,
                                     REDS_UNUSED const int8_t *pair0,
                                     REDS_UNUSED const int8_t *pair1, REDS_UNUSED int32_t groups,
                                     REDS_UNUSED reds_row_sums *sums) {
  __asm__(
      "push {r4-r11, lr}\n\t"
      "mov r5, r0\n\t"
      "lsr.w r7, r3, #2\n\t"
      "and.w r9, r3, #3\n\t"
      "mov r3, r2\n\t"
      "lsl.w r9, r9, #2\n\t"
      "movs r0, #0\n\t"
      "movs r2, #0\n\t"
      "movs r4, #0\n\t"
      "movs r6, #0\n\t"
      "mov r8, r0\n\t"
      "mov r10, r0\n\t"
      "mov r12, r0\n\t"
      "mov lr, r0\n\t"
      "cbz r7, 2f\n\t"
      "1:\n\t"
      "vldrb.u8 q2, [r5], #16\n\t"
      REDS_PAIR_SIXTEEN("r1", "r0", "r2", "r8", "r10")
      REDS_PAIR_SIXTEEN("r3", "r4", "r6", "r12", "lr")
      "subs r7, r7, #1\n\t"
      "bne 1b\n\t"

      "2:\n\t"
      "cmp.w r9, #0\n\t"
      "ble 4f\n\t"
      "3:\n\t"
      "vctp.16 r9\n\t"
      "vpsttt\n\t"
      "vldrbt.s16 q2, [r5], #8\n\t"
      "vldrht.u16 q0, [r1], #16\n\t"
      "vldrht.u16 q1, [r3], #16\n\t"
      REDS_PAIR_EIGHT("r0", "r2", "r8", "r10")
      "vmov q0, q1\n\t"
      REDS_PAIR_EIGHT("r4", "r6", "r12", "lr")
      "subs.w r9, r9, #8\n\t"
      "bgt 3b\n\t"

      "4:\n\t"
      "ldr r1, [sp, #36]\n\t"
      "strd r0, r2, [r1]\n\t"
      "strd r4, r6, [r1, #8]\n\t"
      "strd r8, r10, [r1, #16]\n\t"
      "strd r12, lr, [r1, #24]\n\t"
      "pop {r4-r11, pc}\n\t");
}

#endif /* REDS_ROWS_MVE_H_ */
