#include "reds_support.h"

reds_status reds_fill_tail_s8(int32_t value, const reds_dims *output_dims, int8_t *output) {
  if (output == NULL || !reds_dims_valid(output_dims)) return REDS_ERROR_ARGUMENT;
  const int32_t tail = output_dims->channel_stride - output_dims->channels;
  const int32_t positions = output_dims->height * output_dims->width;
  output += output_dims->channels;
  for (int32_t position = 0; position < positions; ++position) {
    __builtin_memset(output, value, (size_t)tail);
    output += output_dims->channel_stride;
  }
  return REDS_OK;
}
