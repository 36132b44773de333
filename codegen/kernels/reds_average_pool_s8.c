#include "reds_pool.h"

/* Rounded half away from zero; only positions inside the input count. */
static int8_t window_average(const reds_pool_window *window, const int8_t *input) {
  int32_t sum = 0;
  for (int32_t y = window->rows.first; y < window->rows.last; ++y) {
    for (int32_t x = window->columns.first; x < window->columns.last; ++x) {
      sum += *reds_pool_input(window, input, y, x);
    }
  }
  const int32_t count = (window->rows.last - window->rows.first) *
                        (window->columns.last - window->columns.first);
  const int32_t half = count / 2;
  return reds_clamp((sum > 0 ? sum + half : sum - half) / count, window->activation);
}

reds_status reds_average_pool_s8(const reds_pool_params *params, const reds_dims *input_dims,
                                 const int8_t *input, const reds_dims *filter_dims,
                                 const reds_dims *output_dims, int8_t *output) {
  if (input == NULL || output == NULL ||
      !reds_pool_valid(params, input_dims, filter_dims, output_dims)) {
    return REDS_ERROR_ARGUMENT;
  }
  reds_pool(params, input_dims, input, filter_dims, output_dims, output, window_average);
  return REDS_OK;
}
