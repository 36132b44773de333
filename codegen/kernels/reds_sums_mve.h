/* Sums of int8 over a window, eight channels at a time, with vector instructions. Not public. */
#ifndef REDS_SUMS_MVE_H_
#define REDS_SUMS_MVE_H_

#include "reds_mve.h"

#define REDS_SUMMANDS 256 /* of -128 that fit an int16 */

/* Adds `count` values of each channel, `step` bytes apart, to sums of even and of odd channels. */
static inline int32x4x2_t reds_add_values(int32x4x2_t sums, const int8_t *input, int32_t step,
                                          int32_t count, mve_pred16_t active) {
  while (count > 0) {
    int16x8_t part = vdupq_n_s16(0);
    int32_t left = count < REDS_SUMMANDS ? count : REDS_SUMMANDS;
    count -= left;
    for (; left > 0; --left, input += step) part = vaddq_s16(part, vldrbq_z_s16(input, active));
    sums.val[0] = vaddq_s32(sums.val[0], vmovlbq_s16(part));
    sums.val[1] = vaddq_s32(sums.val[1], vmovltq_s16(part));
  }
  return sums;
}

#endif /* REDS_SUMS_MVE_H_ */
