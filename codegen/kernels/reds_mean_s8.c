#include "reds_support.h"

static int arguments_valid(const reds_mean_params *params, const reds_dims *input,
                           const reds_dims *output) {
  /* 2^23 values of up to 255 fit the int32 sum. */
  return params != NULL && reds_dims_valid(input) && reds_dims_valid(output) &&
         input->channels == output->channels && output->height == 1 && output->width == 1 &&
         input->height * input->width < (1 << 23);
}

#if defined(REDS_MVE)
#include "reds_sums_mve.h"

static inline int32x4_t scale(const reds_mean_params *params, int32x4_t sums) {
  const reds_four_factors factors = {vdupq_n_s32(params->multiplier), vdupq_n_s32(params->shift)};
  const int32x4_t scaled = reds_requantise_four(sums, factors);
  const int32x4_t value = vaddq_n_s32(scaled, params->output_offset);
  return vminq_s32(vmaxq_s32(value, vdupq_n_s32(INT8_MIN)), vdupq_n_s32(INT8_MAX));
}

static void average(const reds_mean_params *params, const int8_t *input, int32_t stride,
                    int32_t positions, int32_t channels, int8_t *output) {
  for (int32_t channel = 0; channel < channels; channel += 8) {
    const mve_pred16_t active = vctp16q((uint32_t)(channels - channel));
    const int32x4_t start = vdupq_n_s32(positions * params->input_offset);
    int32x4x2_t sums = {{start, start}};
    sums = reds_add_values(sums, input + channel, stride, positions, active);
    const int16x8_t even = vreinterpretq_s16_s32(scale(params, sums.val[0]));
    vstrbq_p_s16(output + channel, vmovntq_s32(even, scale(params, sums.val[1])), active);
  }
}

#else

static void average(const reds_mean_params *params, const int8_t *input, int32_t stride,
                    int32_t positions, int32_t channels, int8_t *output) {
  const reds_activation all = {INT8_MIN, INT8_MAX};
  for (int32_t channel = 0; channel < channels; ++channel) {
    const int8_t *value = input + channel;
    int32_t sum = positions * params->input_offset;
    for (int32_t i = 0; i < positions; ++i, value += stride) sum += *value;
    const int32_t scaled = reds_requantise(sum, params->multiplier, params->shift);
    output[channel] = reds_clamp(scaled + params->output_offset, all);
  }
}

#endif

reds_status reds_mean_s8(const reds_mean_params *params, const reds_dims *input_dims,
                         const int8_t *input, const reds_dims *output_dims, int8_t *output) {
  if (input == NULL || output == NULL || !arguments_valid(params, input_dims, output_dims)) {
    return REDS_ERROR_ARGUMENT;
  }
  average(params, input, input_dims->channel_stride, input_dims->height * input_dims->width,
          input_dims->channels, output);
  return REDS_OK;
}
