#include "reds_expand.h"

size_t reds_convolve_1x1_s8_get_buffer_size(const reds_dims *filter_dims) {
  return reds_patch_scratch(filter_dims);
}

static int arguments_valid(const reds_call *call) {
  const reds_dims *input = call->input_dims, *filter = call->filter_dims;
  const reds_dims *output = call->output_dims;
  return reds_packed_valid(call->filter) && reds_is_pointwise(call) &&
         filter->channels == input->channels && input->height == output->height &&
         input->width == output->width &&
         reds_scratch_valid(call->context, reds_patch_scratch(filter));
}

/* Four positions at a time; the last 1 to 3 one by one. None is read after it was written, so that
 * the output may lie over the input: from its start on where it is no smaller; else up to its end,
 * and the positions are taken from the last to the first. */
static void multiply(reds_product *product, int32_t input_offset, const reds_dims *input_dims,
                     const int8_t *input, int8_t *output) {
  const int32_t length = product->rows.length;
  const int32_t patch_words = reds_patch_words(&product->rows);
  int32_t left = input_dims->height * input_dims->width;
  int32_t input_stride = input_dims->channel_stride, output_stride = product->stride;
  if (output_stride < input_stride) {
    input += (left - 1) * input_stride;
    output += (left - 1) * output_stride;
    input_stride = -input_stride;
    output_stride = -output_stride;
    product->stride = product->four.stride = output_stride;
  }
  int32_t step = input_stride, count = REDS_POSITIONS;
  for (; left > 0; left -= count) {
    if (left < REDS_POSITIONS) {
      step = 0;
      count = 1;
    }
    reds_expand_four(input, length, step, input_offset, patch_words, product->patches);
    reds_multiply_patches(product, count, output);
    input += count * input_stride;
    output += count * output_stride;
  }
}

reds_status reds_convolve_1x1_s8(const reds_context *context, const reds_conv_params *params,
                                 const reds_requantisation *requantisation,
                                 const reds_dims *input_dims, const int8_t *input,
                                 const reds_dims *filter_dims, const int8_t *filter,
                                 const int32_t *bias, const reds_dims *output_dims,
                                 int8_t *output) {
  const reds_call call = {context,     params, requantisation, input_dims,  input,
                          filter_dims, filter, bias,           output_dims, output};
  if (!reds_call_valid(&call) || !arguments_valid(&call)) return REDS_ERROR_ARGUMENT;
  reds_product product;
  reds_prepare(&product, &call);
  multiply(&product, params->input_offset, input_dims, input, output);
  return REDS_OK;
}
