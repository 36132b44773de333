#include "reds_support.h"

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
  for (int32_t channel = 0; channel < input_dims->channels; ++channel) {
    const int8_t *value = input + channel;
    int32_t sum = positions * params->input_offset;
    for (int32_t i = 0; i < positions; ++i, value += input_dims->channel_stride) sum += *value;
    const int32_t scaled = reds_requantise(sum, params->multiplier, params->shift);
    output[channel] = reds_clamp(scaled + params->output_offset, all);
  }
  return REDS_OK;
}
