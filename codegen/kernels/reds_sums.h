/* Sums of int8 over positions, for each channel. Not public. */
#ifndef REDS_SUMS_H_
#define REDS_SUMS_H_

#include "reds_support.h"

#if defined(REDS_DSP)

#define REDS_SUM_RUN 256 /* values of int8 whose sum fits an int16 */

/* Adds four channels at up to REDS_SUM_RUN positions to `sums`, two positions in a turn. */
static REDS_NOINLINE void reds_add_run(const int8_t *input, int32_t positions, int32_t stride,
                                       int32_t *sums) {
  uint32_t even = 0, odd = 0;
  for (; positions > 1; positions -= 2, input += 2 * stride) {
    const uint32_t first = reds_load_word(input), second = reds_load_word(input + stride);
    even = reds_add_even_bytes(reds_add_even_bytes(even, first), second);
    odd = reds_add_odd_bytes(reds_add_odd_bytes(odd, first), second);
  }
  if (positions > 0) {
    const uint32_t last = reds_load_word(input);
    even = reds_add_even_bytes(even, last);
    odd = reds_add_odd_bytes(odd, last);
  }
  sums[0] += (int16_t)even;
  sums[1] += (int16_t)odd;
  sums[2] += (int32_t)even >> 16;
  sums[3] += (int32_t)odd >> 16;
}

#endif

/* Adds the next 1 to 4 of `channels` at all positions, `stride` bytes apart, to `sums`; returns how
 * many channels these are. */
static inline int32_t reds_add_channels(const int8_t *input, int32_t channels, int32_t positions,
                                        int32_t stride, int32_t *sums) {
#if defined(REDS_DSP)
  if (channels >= 4) {
    for (int32_t run; positions > 0; positions -= run, input += run * stride) {
      run = positions < REDS_SUM_RUN ? positions : REDS_SUM_RUN;
      reds_add_run(input, run, stride, sums);
    }
    return 4;
  }
#endif
  int32_t sum = 0;
  for (; positions > 0; --positions, input += stride) sum += *input;
  sums[0] += sum;
  return channels > 0;
}

#endif /* REDS_SUMS_H_ */
