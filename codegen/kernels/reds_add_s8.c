#include "reds_support.h"

/* TFLM gives both inputs this many bits more before it rescales them. */
#define LEFT_SHIFT 20
#define UNIT (1 << LEFT_SHIFT)
#define HALF (UNIT / 2)

static int arguments_valid(const reds_add_params *params, const reds_dims *input1,
                           const reds_dims *input2, const reds_dims *output) {
  return params != NULL && reds_dims_valid(input1) && reds_dims_valid(input2) &&
         reds_dims_valid(output) && reds_same_dims(input1, input2) &&
         reds_same_dims(input1, output) && reds_offset_valid(params->input1_offset) &&
         reds_offset_valid(params->input2_offset) && reds_factor_valid(&params->input1, 0) &&
         reds_factor_valid(&params->input2, 0) && reds_factor_valid(&params->output, 0);
}

/* Rows of values, each `stride` bytes after the one before. */
typedef struct {
  const int8_t *input1;
  const int8_t *input2;
  int8_t *output;
  int32_t stride1;
  int32_t stride2;
  int32_t stride;
  int32_t rows;
  int32_t count; /* of values in a row */
} layout;

static inline void next_row(layout *at) {
  at->input1 += at->stride1;
  at->input2 += at->stride2;
  at->output += at->stride;
  --at->rows;
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

static void add(const reds_add_params *params, layout at) {
  for (; at.rows > 0; next_row(&at)) add_row(params, at.input1, at.input2, at.count, at.output);
}

#else

static int32_t scale(int32_t value, const reds_factor *factor) {
  return reds_requantise_channel(value, factor->multiplier, factor->shift);
}

/* Any factors. */
static void add_any(const reds_add_params *params, layout at) {
  for (; at.rows > 0; next_row(&at)) {
    for (int32_t i = 0; i < at.count; ++i) {
      const int32_t value1 = (at.input1[i] + params->input1_offset) * UNIT;
      const int32_t value2 = (at.input2[i] + params->input2_offset) * UNIT;
      const int32_t sum = scale(value1, &params->input1) + scale(value2, &params->input2);
      const int32_t scaled = scale(sum, &params->output) + params->output_offset;
      at.output[i] = reds_clamp(scaled, params->activation);
    }
  }
}

/* Whether the factor is 1/2, which needs no rounding. */
static int is_half(const reds_factor *factor) {
  return factor->multiplier == 1 << 30 && factor->shift == 0;
}

static int is_at_most_half(const reds_factor *factor) {
  return is_half(factor) || factor->shift < 0;
}

/* Constants of a sum whose first input has a factor of 1/2, and no other factor is above that. */
typedef struct {
  int32_t base;   /* of the first input, rescaled */
  int32_t offset; /* of the second one */
  int32_t multiplier;
  int32_t exponent;
  int32_t output_multiplier;
  int32_t output_exponent;
  int32_t output_offset;
} half_sum;

static half_sum make_half_sum(const reds_add_params *params) {
  /* 1/2 as a shift to the right: INT32_MAX changes no value as small as these. */
  const int shifts = !is_half(&params->input2);
  const half_sum sum = {params->input1_offset * HALF,
                        params->input2_offset * UNIT,
                        shifts ? params->input2.multiplier : INT32_MAX,
                        shifts ? -params->input2.shift : 1,
                        params->output.multiplier,
                        -params->output.shift,
                        params->output_offset};
  return sum;
}

static inline __attribute__((always_inline)) int32_t add_values(const half_sum *s, int32_t value1,
                                                                int32_t value2) {
  const int32_t scaled =
      reds_scale_right(s->base, value2 * UNIT + s->offset, s->multiplier, s->exponent);
  return reds_scale_right(s->output_offset, scaled + value1 * HALF, s->output_multiplier,
                          s->output_exponent);
}

static REDS_NOINLINE void add_to_half(const half_sum *shared, layout at,
                                      reds_activation activation) {
  const half_sum sum = *shared; /* a local copy: no int8 store can alias it */
  for (; at.rows > 0; next_row(&at)) {
    for (int32_t i = 0; i < at.count; ++i) {
      at.output[i] = reds_clamp(add_values(&sum, at.input1[i], at.input2[i]), activation);
    }
  }
}

/* Four values in a turn, for an activation that lets all of int8 through. */
static REDS_NOINLINE void add_all_to_half(const half_sum *shared, layout at) {
  const half_sum sum = *shared;
  for (; at.rows > 0; next_row(&at)) {
    const int8_t *input1 = at.input1, *input2 = at.input2;
    int8_t *output = at.output;
    int32_t left = at.count;
    for (; left >= 4; left -= 4) {
#pragma GCC unroll 4
      for (int32_t i = 0; i < 4; ++i) {
        const int32_t value2 = *input2++, value1 = *input1++;
        *output++ = (int8_t)reds_saturate(add_values(&sum, value1, value2));
      }
    }
    for (; left > 0; --left) {
      const int32_t value2 = *input2++, value1 = *input1++;
      *output++ = (int8_t)reds_saturate(add_values(&sum, value1, value2));
    }
  }
}

static int is_quick(const reds_add_params *params) {
  return params->output.shift < 0 && is_half(&params->input1) && is_at_most_half(&params->input2);
}

static void add_quickly(const reds_add_params *params, layout at) {
  const reds_activation activation = params->activation;
  const half_sum sum = make_half_sum(params);
  if (activation.min == INT8_MIN && activation.max == INT8_MAX) {
    add_all_to_half(&sum, at);
  } else {
    add_to_half(&sum, at, activation);
  }
}

/* The same sum with its inputs swapped. */
static reds_add_params swap_params(const reds_add_params *params) {
  reds_add_params swapped = *params;
  swapped.input1 = params->input2;
  swapped.input2 = params->input1;
  swapped.input1_offset = params->input2_offset;
  swapped.input2_offset = params->input1_offset;
  return swapped;
}

static layout swap_layout(layout at) {
  const layout swapped = {at.input2, at.input1, at.output, at.stride2,
                          at.stride1, at.stride, at.rows,   at.count};
  return swapped;
}

/* TFLM divides both scales by twice the larger one, so one of their factors is 1/2. */
static void add(const reds_add_params *params, layout at) {
  const reds_add_params swapped = swap_params(params);
  if (is_quick(params)) {
    add_quickly(params, at);
  } else if (is_quick(&swapped)) {
    add_quickly(&swapped, swap_layout(at));
  } else {
    add_any(params, at);
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
  layout at = {input1,
               input2,
               output,
               input1_dims->channel_stride,
               input2_dims->channel_stride,
               output_dims->channel_stride,
               output_dims->height * output_dims->width,
               output_dims->channels};
  if (at.stride1 == at.count && at.stride2 == at.count && at.stride == at.count) {
    at.count *= at.rows;
    at.rows = 1;
  }
  add(params, at);
  return REDS_OK;
}
