#include "reds_patches.h"

size_t reds_convolve_s8_get_buffer_size(const reds_dims *filter_dims) {
  if (!reds_dims_valid(filter_dims)) return 0;
  return reds_scratch_size(reds_patch_bytes(filter_dims) + reds_window_bytes(filter_dims));
}

static int arguments_valid(const reds_context *context, const reds_conv_params *params,
                           const reds_dims *input, const reds_dims *filter,
                           const reds_dims *output) {
  return reds_dims_valid(input) && reds_dims_valid(output) &&
         reds_filter_valid(filter, output->channels) && filter->channels == input->channels &&
         reds_conv_params_valid(params, filter, output) &&
         reds_scratch_valid(context, reds_convolve_s8_get_buffer_size(filter));
}

/* Four positions at a time, as in reds_convolve_1x1_s8. */
static void convolve(const reds_windows *windows, reds_product *product, const int8_t *input,
                     int8_t *output) {
  int8_t *gathered = (int8_t *)product->patches + reds_patch_bytes(windows->filter);
  const int32_t positions = windows->output->height * windows->output->width;
  const int32_t most = positions - REDS_POSITIONS;
  const int32_t count = most < 0 ? positions : REDS_POSITIONS;
  for (int32_t next = 0; next < positions; next += REDS_POSITIONS) {
    const int32_t first = next < most || most < 0 ? next : most;
    reds_expand_windows(windows, input, first, count, gathered, product->patches);
    reds_multiply_patches(product, count, output + first * product->stride);
  }
}

reds_status reds_convolve_s8(const reds_context *context, const reds_conv_params *params,
                             const reds_requantisation *requantisation, const reds_dims *input_dims,
                             const int8_t *input, const reds_dims *filter_dims,
                             const int8_t *filter, const int32_t *bias,
                             const reds_dims *output_dims, int8_t *output) {
  if (input == NULL || filter == NULL || bias == NULL || output == NULL ||
      !reds_requantisation_valid(requantisation) ||
      !arguments_valid(context, params, input_dims, filter_dims, output_dims)) {
    return REDS_ERROR_ARGUMENT;
  }
  const reds_outputs outputs = {bias, requantisation->multiplier, requantisation->shift,
                                params->output_offset, params->activation, params->lookup};
  const reds_windows windows = reds_make_windows(params, input_dims, filter_dims, output_dims);
  reds_product product;
  reds_prepare(&product, filter_dims, filter, &outputs, output_dims, context->buffer);
  convolve(&windows, &product, input, output);
  return REDS_OK;
}
