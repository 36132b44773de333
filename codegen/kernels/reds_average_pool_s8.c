#include "reds_pool.h"

/* Rounded half away from zero. */
static inline int8_t divide(const reds_pool_window *window, int32_t sum, int32_t count) {
  const int32_t half = count / 2;
  return reds_clamp((sum > 0 ? sum + half : sum - half) / count, window->activation);
}

#if defined(REDS_MVE)
#include "reds_sums_mve.h"

/* Only positions inside the input count. */
static void reduce(const reds_pool_window *window, const int8_t *input, int32_t channels,
                   int8_t *output) {
  const reds_taps rows = window->rows, columns = window->columns;
  const int32_t width = columns.last - columns.first, count = (rows.last - rows.first) * width;
  for (int32_t channel = 0; channel < channels; channel += 8) {
    const mve_pred16_t active = vctp16q((uint32_t)(channels - channel));
    int32x4x2_t sums = {{vdupq_n_s32(0), vdupq_n_s32(0)}};
    for (int32_t y = rows.first; y < rows.last; ++y) {
      const int8_t *first = reds_pool_input(window, input + channel, y, columns.first);
      sums = reds_add_values(sums, first, window->input->channel_stride, width, active);
    }
    int32_t in_order[8];
    vst2q_s32(in_order, sums);
    for (int32_t i = 0; i < 8 && channel + i < channels; ++i) {
      output[channel + i] = divide(window, in_order[i], count);
    }
  }
}

#else
#include "reds_sums.h"

/* Only positions inside the input count. */
static void reduce(const reds_pool_window *window, const int8_t *input, int32_t channels,
                   int8_t *output) {
  const int32_t stride = window->input->channel_stride;
  int32_t rows = window->rows.last - window->rows.first;
  int32_t width = window->columns.last - window->columns.first;
  const int32_t count = rows * width, step = window->input->width * stride;
  if (width == window->input->width) { /* all of them lie side by side */
    width = count;
    rows = 1;
  }
  input = reds_pool_input(window, input, window->rows.first, window->columns.first);
  for (int32_t done = 0; channels > 0; channels -= done, input += done) {
    int32_t sums[4] = {0};
    const int8_t *row = input;
    for (int32_t y = 0; y < rows; ++y, row += step) {
      done = reds_add_channels(row, channels, width, stride, sums);
    }
    for (int32_t i = 0; i < done; ++i) *output++ = divide(window, sums[i], count);
  }
}

#endif

reds_status reds_average_pool_s8(const reds_pool_params *params, const reds_dims *input_dims,
                                 const int8_t *input, const reds_dims *filter_dims,
                                 const reds_dims *output_dims, int8_t *output) {
  if (input == NULL || output == NULL ||
      !reds_pool_valid(params, input_dims, filter_dims, output_dims)) {
    return REDS_ERROR_ARGUMENT;
  }
  reds_pool(params, input_dims, input, filter_dims, output_dims, output, reduce);
  return REDS_OK;
}
