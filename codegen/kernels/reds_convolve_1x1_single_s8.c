#include "reds_support.h"

size_t reds_convolve_1x1_single_s8_get_buffer_size(const reds_dims *filter_dims) {
  return reds_fully_connected_s8_get_buffer_size(filter_dims);
}

static int arguments_valid(const reds_dims *input, const reds_dims *output,
                           const reds_conv_params *params) {
  const reds_extent stride = params->stride, padding = params->padding;
  return input->height == output->height && input->width == output->width && stride.height == 1 &&
         stride.width == 1 && padding.height == 0 && padding.width == 0;
}

/* The shape of one position. */
static reds_dims one_position(const reds_dims *dims) {
  const reds_dims position = {1, 1, dims->channels, dims->channel_stride};
  return position;
}

reds_status reds_convolve_1x1_single_s8(const reds_context *context, const reds_conv_params *params,
                                        const reds_requantisation *requantisation,
                                        const reds_dims *input_dims, const int8_t *input,
                                        const reds_dims *filter_dims, const int8_t *filter,
                                        const int32_t *bias, const reds_dims *output_dims,
                                        int8_t *output) {
  const reds_call call = {context,     params, requantisation, input_dims,  input,
                          filter_dims, filter, bias,           output_dims, output};
  if (!reds_call_valid(&call) || !arguments_valid(input_dims, output_dims, params)) {
    return REDS_ERROR_ARGUMENT;
  }
  const reds_fc_params fc_params = {params->input_offset, params->output_offset,
                                    params->activation, params->lookup};
  const reds_dims from = one_position(input_dims), to = one_position(output_dims);
  const int32_t last = input_dims->height * input_dims->width - 1;
  const int backward = to.channel_stride < from.channel_stride;
  reds_status status = REDS_OK;
  for (int32_t i = 0; i <= last && status == REDS_OK; ++i) {
    const int32_t position = backward ? last - i : i;
    status = reds_fully_connected_s8(context, &fc_params, requantisation, &from,
                                     input + position * from.channel_stride, filter_dims, filter,
                                     bias, &to, output + position * to.channel_stride);
  }
  return status;
}
