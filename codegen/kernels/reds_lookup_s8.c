#include "reds_support.h"

reds_status reds_lookup_s8(const int8_t *table, const reds_dims *input_dims, const int8_t *input,
                           const reds_dims *output_dims, int8_t *output) {
  if (table == NULL || input == NULL || output == NULL || !reds_dims_valid(input_dims) ||
      !reds_dims_valid(output_dims) || !reds_same_dims(input_dims, output_dims)) {
    return REDS_ERROR_ARGUMENT;
  }
  const int32_t positions = input_dims->height * input_dims->width;
  for (int32_t position = 0; position < positions; ++position) {
    for (int32_t channel = 0; channel < input_dims->channels; ++channel) {
      output[channel] = table[input[channel] + 128];
    }
    input += input_dims->channel_stride;
    output += output_dims->channel_stride;
  }
  return REDS_OK;
}
