#include "reds_pool.h"

#if defined(REDS_MVE)
#include "reds_mve.h"

static void reduce(const reds_pool_window *window, const int8_t *input, int32_t channels,
                   int8_t *output) {
  const int8x16_t lowest = vdupq_n_s8((int8_t)window->activation.min);
  const int8x16_t highest = vdupq_n_s8((int8_t)window->activation.max);
  const int32_t step = window->input->channel_stride;
  for (int32_t channel = 0; channel < channels; channel += 16) {
    const mve_pred16_t active = vctp8q((uint32_t)(channels - channel));
    int8x16_t maximum = lowest;
    for (int32_t y = window->rows.first; y < window->rows.last; ++y) {
      const int8_t *value = reds_pool_input(window, input + channel, y, window->columns.first);
      for (int32_t x = window->columns.first; x < window->columns.last; ++x, value += step) {
        maximum = vmaxq_s8(maximum, vldrbq_z_s8(value, active));
      }
    }
    vstrbq_p_s8(output + channel, vminq_s8(maximum, highest), active);
  }
}

#else

static int8_t window_maximum(const reds_pool_window *window, const int8_t *input) {
  int32_t maximum = INT8_MIN;
  for (int32_t y = window->rows.first; y < window->rows.last; ++y) {
    for (int32_t x = window->columns.first; x < window->columns.last; ++x) {
      const int32_t value = *reds_pool_input(window, input, y, x);
      if (value > maximum) maximum = value;
    }
  }
  return reds_clamp(maximum, window->activation);
}

static void reduce(const reds_pool_window *window, const int8_t *input, int32_t channels,
                   int8_t *output) {
  for (int32_t i = 0; i < channels; ++i) output[i] = window_maximum(window, input + i);
}

#endif

reds_status reds_max_pool_s8(const reds_pool_params *params, const reds_dims *input_dims,
                             const int8_t *input, const reds_dims *filter_dims,
                             const reds_dims *output_dims, int8_t *output) {
  if (input == NULL || output == NULL ||
      !reds_pool_valid(params, input_dims, filter_dims, output_dims)) {
    return REDS_ERROR_ARGUMENT;
  }
  reds_pool(params, input_dims, input, filter_dims, output_dims, output, reduce);
  return REDS_OK;
}
