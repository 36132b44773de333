/* The walk over windows that max and average pooling share. Not public. */
#ifndef REDS_POOL_H_
#define REDS_POOL_H_

#include "reds_support.h"

/* The window of one output position; its taps inside the input. */
typedef struct {
  const reds_dims *input;
  reds_activation activation;
  int32_t top;
  int32_t left;
  reds_taps rows;
  reds_taps columns;
} reds_pool_window;

/* Reduces the window of each of `channels` to one output. */
typedef void (*reds_pool_reduce)(const reds_pool_window *window, const int8_t *input,
                                 int32_t channels, int8_t *output);

/* Whether every window along one axis meets the input. */
static inline int reds_pool_axis_valid(int32_t input, int32_t output, int32_t kernel,
                                       int32_t stride, int32_t padding) {
  return kernel > 0 && reds_axis_valid(output, kernel, stride, padding, 1) && padding < kernel &&
         (output - 1) * stride - padding < input;
}

static inline int reds_pool_valid(const reds_pool_params *params, const reds_dims *input,
                                  const reds_dims *filter, const reds_dims *output) {
  return params != NULL && filter != NULL && reds_dims_valid(input) && reds_dims_valid(output) &&
         input->channels == output->channels &&
         reds_pool_axis_valid(input->height, output->height, filter->height, params->stride.height,
                              params->padding.height) &&
         reds_pool_axis_valid(input->width, output->width, filter->width, params->stride.width,
                              params->padding.width);
}

static inline const int8_t *reds_pool_input(const reds_pool_window *window, const int8_t *input,
                                            int32_t tap_y, int32_t tap_x) {
  const int32_t position = (window->top + tap_y) * window->input->width + window->left + tap_x;
  return input + position * window->input->channel_stride;
}

static inline void reds_pool(const reds_pool_params *params, const reds_dims *input_dims,
                             const int8_t *input, const reds_dims *filter_dims,
                             const reds_dims *output_dims, int8_t *output,
                             reds_pool_reduce reduce) {
  reds_pool_window window = {.input = input_dims, .activation = params->activation};
  for (int32_t y = 0; y < output_dims->height; ++y) {
    window.top = y * params->stride.height - params->padding.height;
    window.rows = reds_clip(window.top, filter_dims->height, 1, input_dims->height);
    for (int32_t x = 0; x < output_dims->width; ++x, output += output_dims->channel_stride) {
      window.left = x * params->stride.width - params->padding.width;
      window.columns = reds_clip(window.left, filter_dims->width, 1, input_dims->width);
      reduce(&window, input, output_dims->channels, output);
    }
  }
}

#endif /* REDS_POOL_H_ */
