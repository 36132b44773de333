#include "reds_pool.h"

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

reds_status reds_max_pool_s8(const reds_pool_params *params, const reds_dims *input_dims,
                             const int8_t *input, const reds_dims *filter_dims,
                             const reds_dims *output_dims, int8_t *output) {
  if (input == NULL || output == NULL ||
      !reds_pool_valid(params, input_dims, filter_dims, output_dims)) {
    return REDS_ERROR_ARGUMENT;
  }
  reds_pool(params, input_dims, input, filter_dims, output_dims, output, window_maximum);
  return REDS_OK;
}
