#include "reds_support.h"

#define RUN 256 /* values of int8 whose sum fits an int16 */

static int arguments_valid(const reds_mean_params *params, const reds_dims *input,
                           const reds_dims *output) {
  /* 2^23 values of up to 255 fit the int32 sum. */
  return params != NULL && reds_dims_valid(input) && reds_dims_valid(output) &&
         input->channels == output->channels && output->height == 1 && output->width == 1 &&
         input->height * input->width < (1 << 23);
}

static int32_t sum_channel(const int8_t *input, int32_t positions, int32_t stride) {
  int32_t sum = 0;
  for (; positions > 0; --positions, input += stride) sum += *input;
  return sum;
}

#if defined(REDS_DSP)

/* Adds four channels at up to RUN positions to `sums`, two positions in a turn. */
static REDS_NOINLINE void sum_run(const int8_t *input, int32_t positions, int32_t stride, int32_t *sums) {
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

static void sum_four_channels(const int8_t *input, int32_t positions, int32_t stride,
                              int32_t *sums) {
  for (; positions > RUN; positions -= RUN, input += RUN * stride) {
    sum_run(input, RUN, stride, sums);
  }
  sum_run(input, positions, stride, sums);
}

#endif

/* Sums of the next 1 to 4 channels; returns how many. */
static int32_t sum_channels(const int8_t *input, int32_t channels, int32_t positions,
                            int32_t stride, int32_t *sums) {
#if defined(REDS_DSP)
  if (channels >= 4) {
    sums[0] = sums[1] = sums[2] = sums[3] = 0;
    sum_four_channels(input, positions, stride, sums);
    return 4;
  }
#endif
  sums[0] = sum_channel(input, positions, stride);
  return channels > 0;
}

reds_status reds_mean_s8(const reds_mean_params *params, const reds_dims *input_dims,
                         const int8_t *input, const reds_dims *output_dims, int8_t *output) {
  if (input == NULL || output == NULL || !arguments_valid(params, input_dims, output_dims)) {
    return REDS_ERROR_ARGUMENT;
  }
  const reds_activation all = {INT8_MIN, INT8_MAX};
  const int32_t positions = input_dims->height * input_dims->width;
  const int32_t start = positions * params->input_offset;
  int32_t sums[4], count = 0;
  for (int32_t left = input_dims->channels; left > 0; left -= count, input += count) {
    count = sum_channels(input, left, positions, input_dims->channel_stride, sums);
    for (int32_t i = 0; i < count; ++i) {
      const int32_t scaled = reds_requantise(start + sums[i], params->multiplier, params->shift);
      *output++ = reds_clamp(scaled + params->output_offset, all);
    }
  }
  return REDS_OK;
}
