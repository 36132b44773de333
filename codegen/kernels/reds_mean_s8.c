#include "reds_sums.h"

static int arguments_valid(const reds_mean_params *params, const reds_dims *input,
                           const reds_dims *output) {
  /* 2^23 values of up to 255 fit the int32 sum. */
  return params != NULL && reds_dims_valid(input) && reds_dims_valid(output) &&
         input->channels == output->channels && output->height == 1 && output->width == 1 &&
         input->height * input->width < (1 << 23);
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
    sums[0] = sums[1] = sums[2] = sums[3] = start;
    count = reds_add_channels(input, left, positions, input_dims->channel_stride, sums);
    for (int32_t i = 0; i < count; ++i) {
      const int32_t scaled = reds_requantise(sums[i], params->multiplier, params->shift);
      *output++ = reds_clamp(scaled + params->output_offset, all);
    }
  }
  return REDS_OK;
}
