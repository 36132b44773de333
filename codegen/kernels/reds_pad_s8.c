#include "reds_support.h"

static int arguments_valid(const reds_pad_params *params, const reds_dims *input,
                           const reds_dims *output) {
  return params != NULL && params->top >= 0 && params->left >= 0 && reds_dims_valid(input) &&
         reds_dims_valid(output) && input->channels == output->channels &&
         (int64_t)params->top + input->height <= output->height &&
         (int64_t)params->left + input->width <= output->width;
}

reds_status reds_pad_s8(const reds_pad_params *params, const reds_dims *input_dims,
                        const int8_t *input, const reds_dims *output_dims, int8_t *output) {
  if (input == NULL || output == NULL || !arguments_valid(params, input_dims, output_dims)) {
    return REDS_ERROR_ARGUMENT;
  }
  const size_t channels = (size_t)input_dims->channels;
  for (int32_t y = 0; y < output_dims->height; ++y) {
    for (int32_t x = 0; x < output_dims->width; ++x, output += output_dims->channel_stride) {
      const int32_t row = y - params->top, column = x - params->left;
      if (row >= 0 && row < input_dims->height && column >= 0 && column < input_dims->width) {
        const int32_t position = row * input_dims->width + column;
        __builtin_memcpy(output, input + position * input_dims->channel_stride, channels);
      } else {
        __builtin_memset(output, params->value, channels);
      }
    }
  }
  return REDS_OK;
}
