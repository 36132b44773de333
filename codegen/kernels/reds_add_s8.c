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

#if defined(REDS_MVE)
#include "reds_mve.h"

static inline int32x4_t scale(int32x4_t value, const reds_factor *factor) {
  value = vqrdmulhq_n_s32(value, factor->multiplier);
  /* One less for negatives that are shifted turns half up into half away from zero. */
  value = vmlaq_n_s32(value, vshrq_n_s32(value, 31), factor->shift < 0);
  return vrshlq_n_s32(value, factor->shift);
}

static inline int32x4_t scale_input(const int8_t *input, int32_t offset, const reds_factor *factor,
                                    mve_pred16_t active) {
  const int32x4_t value = vaddq_n_s32(vldrbq_z_s32(input, active), offset);
  return scale(vshlq_n_s32(value, LEFT_SHIFT), factor);
}

static void add_row(const reds_add_params *shared_params, const int8_t *input1,
                    const int8_t *input2, int32_t channels, int8_t *output) {
  const reds_add_params params = *shared_params; /* a local copy: no int8 store can alias it */
  const int32x4_t lowest = vdupq_n_s32(params.activation.min);
  const int32x4_t highest = vdupq_n_s32(params.activation.max);
  for (int32_t i = 0; i < channels; i += REDS_LANES) {
    const mve_pred16_t active = vctp32q((uint32_t)(channels - i));
    const int32x4_t value1 = scale_input(input1 + i, params.input1_offset, &params.input1, active);
    const int32x4_t value2 = scale_input(input2 + i, params.input2_offset, &params.input2, active);
    const int32x4_t scaled = scale(vaddq_s32(value1, value2), &params.output);
    const int32x4_t moved = vaddq_n_s32(scaled, params.output_offset);
    vstrbq_p_s32(output + i, vminq_s32(vmaxq_s32(moved, lowest), highest), active);
  }
}

#else

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

#endif

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
