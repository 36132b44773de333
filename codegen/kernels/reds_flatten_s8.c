#include "reds_support.h"

static int arguments_valid(const reds_dims *input, const reds_dims *output) {
  return reds_dims_valid(input) && reds_dims_valid(output) && output->height == 1 &&
         output->width == 1 && output->channels == input->channels * input->height * input->width;
}

reds_status reds_flatten_s8(const reds_dims *input_dims, const int8_t *input,
                            const reds_dims *output_dims, int8_t *output) {
  if (input == NULL || output == NULL || !arguments_valid(input_dims, output_dims)) {
    return REDS_ERROR_ARGUMENT;
  }
  const int32_t positions = input_dims->height * input_dims->width;
  for (int32_t channel = 0; channel < input_dims->channels; ++channel) {
    const int8_t *value = input + channel;
    for (int32_t position = 0; position < positions; ++position) {
      *output++ = *value;
      value += input_dims->channel_stride;
    }
  }
  return REDS_OK;
}
