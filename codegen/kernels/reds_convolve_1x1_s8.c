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

/* A map of fewer than four positions: the last one is repeated. */
static void expand_few(const int8_t *input, int32_t positions, int32_t length, int32_t stride,
                       int32_t offset, int32_t patch_words, uint32_t *patches) {
  for (int32_t lane = 0; lane < REDS_POSITIONS; ++lane) {
    const int32_t position = lane < positions ? lane : positions - 1;
    reds_expand(input + position * stride, length, offset, patches + lane * patch_words);
  }
}

/* Four positions at a time; the last four overlap those before them. */
static void multiply(reds_product *product, int32_t input_offset, const reds_dims *input_dims,
                     const int8_t *input, int8_t *output) {
  const int32_t positions = input_dims->height * input_dims->width;
  const int32_t stride = input_dims->channel_stride, length = product->rows.length;
  const int32_t patch_words = reds_patch_words(&product->rows);
  if (positions < REDS_POSITIONS) {
    expand_few(input, positions, length, stride, input_offset, patch_words, product->patches);
    reds_multiply_patches(product, positions, output);
    return;
  }
  for (int32_t next = 0; next < positions; next += REDS_POSITIONS) {
    const int32_t most = positions - REDS_POSITIONS;
    const int32_t first = next < most ? next : most;
    reds_expand_four(input + first * stride, length, stride, input_offset, patch_words,
                     product->patches);
    reds_multiply_patches(product, REDS_POSITIONS, output + first * product->stride);
  }
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
