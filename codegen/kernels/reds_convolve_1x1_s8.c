#include "reds_patches.h"

size_t reds_convolve_1x1_s8_get_buffer_size(const reds_dims *filter_dims) {
  if (!reds_dims_valid(filter_dims)) return 0;
  return reds_scratch_size(reds_patch_groups(filter_dims) * REDS_PAIR_BYTES);
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

#if defined(REDS_DSP)

static void multiply(const reds_conv_params *params, const reds_outputs *outputs,
                     const reds_dims *input_dims, const int8_t *input, const reds_dims *filter_dims,
                     const int8_t *filter, const reds_dims *output_dims, int8_t *output,
                     uint32_t *patches) {
  const reds_segments segments = {1, filter_dims->channels, filter_dims->channel_stride};
  const int32_t positions = input_dims->height * input_dims->width;
  for (int32_t position = 0; position < positions; position += 2) {
    const int32_t next = position + 1 < positions ? position + 1 : position;
    reds_expand(input + position * input_dims->channel_stride, segments.length,
                params->input_offset, REDS_PAIR_WORDS, patches);
    reds_expand(input + next * input_dims->channel_stride, segments.length, params->input_offset,
                REDS_PAIR_WORDS, patches + 2);
    reds_multiply_patches(&segments, outputs, filter, output_dims->channels, patches,
                          output + position * output_dims->channel_stride,
                          output + next * output_dims->channel_stride);
  }
}

#else

static void multiply(const reds_conv_params *params, const reds_outputs *outputs,
                     const reds_dims *input_dims, const int8_t *input, const reds_dims *filter_dims,
                     const int8_t *filter, const reds_dims *output_dims, int8_t *output,
                     uint32_t *patches) {
  (void)patches;
  const int32_t positions = input_dims->height * input_dims->width;
  for (int32_t position = 0; position < positions; ++position) {
    for (int32_t channel = 0; channel < output_dims->channels; ++channel) {
      const int32_t sum = reds_dot(input, filter + channel * filter_dims->channel_stride,
                                   filter_dims->channels, params->input_offset);
      output[channel] = reds_output(outputs, channel, sum);
    }
    input += input_dims->channel_stride;
    output += output_dims->channel_stride;
  }
}

#endif

reds_status reds_convolve_1x1_s8(const reds_context *context, const reds_conv_params *params,
                                 const reds_requantisation *requantisation,
                                 const reds_dims *input_dims, const int8_t *input,
                                 const reds_dims *filter_dims, const int8_t *filter,
                                 const int32_t *bias, const reds_dims *output_dims,
                                 int8_t *output) {
  if (input == NULL || filter == NULL || bias == NULL || output == NULL ||
      !reds_requantisation_valid(requantisation) ||
      !arguments_valid(context, params, input_dims, filter_dims, output_dims)) {
    return REDS_ERROR_ARGUMENT;
  }
  const reds_outputs outputs = {bias, requantisation->multiplier, requantisation->shift,
                                params->output_offset, params->activation,
                                params->lookup};
  multiply(params, &outputs, input_dims, input, filter_dims, filter, output_dims, output,
           context->buffer);
  return REDS_OK;
}
