#include "reds_expand.h"

size_t reds_convolve_1x1_s8_get_buffer_size(const reds_dims *filter_dims) {
  if (!reds_dims_valid(filter_dims)) return 0;
  return reds_scratch_size(reds_patch_bytes(filter_dims));
}

static int arguments_valid(const reds_context *context, const reds_conv_params *params,
                           const reds_dims *input, const reds_dims *filter,
                           const reds_dims *output) {
  return reds_dims_valid(input) && reds_dims_valid(output) &&
         reds_filter_valid(filter, output->channels) && filter->height == 1 &&
         filter->width == 1 && filter->channels == input->channels &&
         input->height == output->height && input->width == output->width &&
         reds_conv_params_valid(params, filter, output) && params->stride.height == 1 &&
         params->stride.width == 1 && params->padding.height == 0 && params->padding.width == 0 &&
         reds_scratch_valid(context, reds_convolve_1x1_s8_get_buffer_size(filter));
}

/* The last 1 to 3 positions; the last of them is repeated. A single one is written from all four
 * lanes where that is fast. */
static void multiply_rest(reds_product *product, int32_t input_offset, const int8_t *input,
                          int32_t input_stride, int32_t count, int8_t *output) {
  const int32_t patch_words = reds_patch_words(&product->rows);
  for (int32_t lane = 0; lane < REDS_POSITIONS; ++lane) {
    reds_expand(input, product->rows.length, input_offset, product->patches + lane * patch_words);
    if (lane + 1 < count) input += input_stride;
  }
  const int repeats = count == 1 && product->multiply_four != NULL;
  if (repeats) product->stride = product->four.stride = 0;
  reds_multiply_patches(product, repeats ? REDS_POSITIONS : count, output);
}

/* Four positions at a time. None is read after it was written, so that the output may lie over the
 * input. */
static void multiply(reds_product *product, int32_t input_offset, const reds_dims *input_dims,
                     const int8_t *input, int8_t *output) {
  const int32_t input_stride = input_dims->channel_stride, output_stride = product->stride;
  const int32_t length = product->rows.length;
  const int32_t patch_words = reds_patch_words(&product->rows);
  int32_t left = input_dims->height * input_dims->width;
  for (; left >= REDS_POSITIONS; left -= REDS_POSITIONS) {
    reds_expand_four(input, length, input_stride, input_offset, patch_words, product->patches);
    reds_multiply_patches(product, REDS_POSITIONS, output);
    input += REDS_POSITIONS * input_stride;
    output += REDS_POSITIONS * output_stride;
  }
  if (left > 0) multiply_rest(product, input_offset, input, input_stride, left, output);
}

reds_status reds_convolve_1x1_s8(const reds_context *context, const reds_conv_params *params,
                                 const reds_requantisation *requantisation,
                                 const reds_dims *input_dims, const int8_t *input,
                                 const reds_dims *filter_dims, const int8_t *filter,
                                 const int32_t *bias, const reds_dims *output_dims,
                                 int8_t *output) {
  if (input == NULL || !reds_packed_valid(filter) || bias == NULL || output == NULL ||
      !reds_requantisation_valid(requantisation) ||
      !arguments_valid(context, params, input_dims, filter_dims, output_dims)) {
    return REDS_ERROR_ARGUMENT;
  }
  const reds_outputs outputs = {bias, requantisation->multiplier, requantisation->shift,
                                params->output_offset, params->activation, params->lookup};
  reds_product product;
  reds_prepare(&product, filter_dims, filter, &outputs, params->input_offset, output_dims, context);
  multiply(&product, params->input_offset, input_dims, input, output);
  return REDS_OK;
}
