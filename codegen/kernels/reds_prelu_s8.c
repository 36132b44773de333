#include "reds_support.h"

static int arguments_valid(const reds_prelu_params *params, const reds_dims *input,
                           const reds_dims *slope, const reds_dims *output) {
  return params != NULL && reds_dims_valid(input) && reds_dims_valid(slope) &&
         reds_dims_valid(output) && reds_same_dims(input, output) &&
         slope->channels == input->channels &&
         ((slope->height == 1 && slope->width == 1) || reds_same_dims(slope, input)) &&
         reds_offset_valid(params->input_offset) && reds_factor_valid(&params->identity, 30) &&
         reds_factor_valid(&params->slope, 30);
}

static void prelu_row(const reds_prelu_params *shared_params, const int8_t *input,
                      const int8_t *slopes, int32_t channels, int8_t *output) {
  const reds_prelu_params params = *shared_params; /* a local copy: no int8 store can alias it */
  const reds_activation all = {INT8_MIN, INT8_MAX};
  for (int32_t channel = 0; channel < channels; ++channel) {
    const int32_t value = input[channel] + params.input_offset;
    const int32_t scaled =
        value >= 0 ? reds_requantise_channel(value, params.identity.multiplier,
                                             params.identity.shift)
                   : reds_requantise_channel(value * slopes[channel], params.slope.multiplier,
                                             params.slope.shift);
    output[channel] = reds_clamp(scaled + params.output_offset, all);
  }
}

reds_status reds_prelu_s8(const reds_prelu_params *params, const reds_dims *input_dims,
                          const int8_t *input, const reds_dims *slope_dims, const int8_t *slopes,
                          const reds_dims *output_dims, int8_t *output) {
  if (input == NULL || slopes == NULL || output == NULL ||
      !arguments_valid(params, input_dims, slope_dims, output_dims)) {
    return REDS_ERROR_ARGUMENT;
  }
  const int32_t positions = input_dims->height * input_dims->width;
  const int32_t step =
      slope_dims->height * slope_dims->width == positions ? slope_dims->channel_stride : 0;
  for (int32_t position = 0; position < positions; ++position, slopes += step) {
    prelu_row(params, input, slopes, input_dims->channels, output);
    input += input_dims->channel_stride;
    output += output_dims->channel_stride;
  }
  return REDS_OK;
}
