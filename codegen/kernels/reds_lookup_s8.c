#include "reds_support.h"

#if defined(REDS_MVE)
#include "reds_mve.h"

static void look_up_row(const int8_t *table, const int8_t *input, int32_t count, int8_t *output) {
  for (; count > 0; count -= 16, input += 16, output += 16) {
    const mve_pred16_t active = vctp8q((uint32_t)count);
    const int8x16_t entries = veorq_s8(vldrbq_z_s8(input, active), vdupq_n_s8(INT8_MIN));
    vstrbq_p_s8(output, vldrbq_gather_offset_z_s8(table, vreinterpretq_u8_s8(entries), active),
                active);
  }
}

#else

static void look_up_row(const int8_t *table, const int8_t *input, int32_t count, int8_t *output) {
  for (int32_t i = 0; i < count; ++i) output[i] = table[input[i] + 128];
}

#endif

reds_status reds_lookup_s8(const int8_t *table, const reds_dims *input_dims, const int8_t *input,
                           const reds_dims *output_dims, int8_t *output) {
  if (table == NULL || input == NULL || output == NULL || !reds_dims_valid(input_dims) ||
      !reds_dims_valid(output_dims) || !reds_same_dims(input_dims, output_dims)) {
    return REDS_ERROR_ARGUMENT;
  }
  const int32_t positions = input_dims->height * input_dims->width;
  for (int32_t position = 0; position < positions; ++position) {
    look_up_row(table, input, input_dims->channels, output);
    input += input_dims->channel_stride;
    output += output_dims->channel_stride;
  }
  return REDS_OK;
}
