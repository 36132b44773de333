#include "reds_support.h"

/* Whether a x b x c, each of them 1 or more, fits an int32. */
static int product_fits(int32_t a, int32_t b, int32_t c) {
  return reds_fits_int32((int64_t)a * b) && reds_fits_int32((int64_t)a * b * c);
}

int reds_dims_valid(const reds_dims *dims) {
  return dims != NULL && dims->height > 0 && dims->width > 0 && dims->channels > 0 &&
         dims->channels <= dims->channel_stride &&
         product_fits(dims->height, dims->width, dims->channel_stride);
}

int reds_axis_valid(int32_t outputs, int32_t kernel, int32_t stride, int32_t padding,
                    int32_t dilation) {
  return stride > 0 && padding >= 0 && dilation > 0 &&
         reds_fits_int32((int64_t)(outputs - 1) * stride + (int64_t)(kernel - 1) * dilation);
}

static int params_valid(const reds_conv_params *params, const reds_dims *filter,
                        const reds_dims *output) {
  return params != NULL && reds_offset_valid(params->input_offset) &&
         reds_axis_valid(output->height, filter->height, params->stride.height,
                         params->padding.height, params->dilation.height) &&
         reds_axis_valid(output->width, filter->width, params->stride.width, params->padding.width,
                         params->dilation.width);
}

REDS_COLD int reds_call_valid(const reds_call *call) {
  const reds_dims *filter = call->filter_dims, *output = call->output_dims;
  return call->input != NULL && call->filter != NULL && call->bias != NULL &&
         call->output != NULL && reds_requantisation_valid(call->requantisation) &&
         reds_dims_valid(call->input_dims) && reds_dims_valid(filter) && reds_dims_valid(output) &&
         product_fits(filter->height * filter->width, filter->channel_stride, output->channels) &&
         params_valid(call->params, filter, output);
}

int reds_scratch_valid(const reds_context *context, size_t needed) {
  return needed > 0 && context != NULL && context->buffer != NULL && context->size >= needed &&
         ((uintptr_t)context->buffer & 3) == 0;
}

void reds_make_outputs(const reds_call *call, reds_outputs *outputs) {
  const reds_conv_params *params = call->params;
  outputs->bias = call->bias;
  outputs->multiplier = call->requantisation->multiplier;
  outputs->shift = call->requantisation->shift;
  outputs->offset = params->output_offset;
  outputs->activation = params->activation;
  outputs->lookup = params->lookup;
}

#if defined(REDS_DSP)
int8_t reds_output(const reds_outputs *outputs, int32_t channel, int32_t sum) {
  return reds_output_inline(outputs, channel, sum);
}
#endif

int32_t reds_high_multiply_halves(int32_t value, int32_t multiplier) {
  const int32_t high = value >> 16, multiplier_high = multiplier >> 16;
  const uint32_t low = value & 0xFFFF, multiplier_low = multiplier & 0xFFFF;
  /* No sum of a product and a carry leaves 32 bits. */
  const int32_t middle = high * (int32_t)multiplier_low + (int32_t)(low * multiplier_low >> 16);
  const int32_t rest = (int32_t)low * multiplier_high + (middle & 0xFFFF);
  return 2 * (high * multiplier_high + (middle >> 16)) + (((rest >> 14) + 1) >> 1);
}
