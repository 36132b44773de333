#include "reds_support.h"

/* TFLM gives both inputs this many bits more before it rescales them. */
#define LEFT_SHIFT 20

static int arguments_valid(const reds_add_params *params, const reds_dims *input1,
                           const reds_dims *input2, const reds_dims *output) {
  return params != NULL && reds_dims_valid(input1) && reds_dims_valid(input2) &&
         reds_dims_valid(output) && reds_same_dims(input1, input2) &&
         reds_same_dims(input1, output) && reds_offset_valid(params->input1_offset) &&
         reds_offset_valid(params->input2_offset) && reds_factor_valid(&params->input1, 0) &&
         reds_factor_valid(&params->input2, 0) && reds_factor_valid(&params->output, 0);
}

static int32_t scale(int32_t value, const reds_factor *factor) {
  return reds_requantise_channel(value, factor->multiplier, factor->shift);
}

static void add_row(const reds_add_params *shared_params, const int8_t *input1,
                    const int8_t *input2, int32_t channels, int8_t *output) {
  const reds_add_params params = *shared_params; /* a local copy: no int8 store can alias it */
  for (int32_t channel = 0; channel < channels; ++channel) {
    const int32_t value1 = (input1[channel] + params.input1_offset) * (1 << LEFT_SHIFT);
    const int32_t value2 = (input2[channel] + params.input2_offset) * (1 << LEFT_SHIFT);
    const int32_t sum = scale(value1, &params.input1) + scale(value2, &params.input2);
    output[channel] =
        reds_clamp(scale(sum, &params.output) + params.output_offset, params.activation);
  }
}

reds_status reds_add_s8(const reds_add_params *params, const reds_dims *input1_dims,
                        const int8_t *input1, const reds_dims *input2_dims, const int8_t *input2,
                        const reds_dims *output_dims, int8_t *output) {
  if (input1 == NULL || input2 == NULL || output == NULL ||
      !arguments_valid(params, input1_dims, input2_dims, output_dims)) {
    return REDS_ERROR_ARGUMENT;
  }
  const int32_t positions = output_dims->height * output_dims->width;
  for (int32_t position = 0; position < positions; ++position) {
    add_row(params, input1, input2, output_dims->channels, output);
    input1 += input1_dims->channel_stride;
    input2 += input2_dims->channel_stride;
    output += output_dims->channel_stride;
  }
  return REDS_OK;
}
