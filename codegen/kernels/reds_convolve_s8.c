#include "reds_patches.h"

/* A convolution's fixed shape, for the functions below. */
typedef struct {
  const reds_conv_params *params;
  const reds_dims *input;
  const reds_dims *filter;
  const reds_dims *output;
} convolution;

/* Bytes of one gathered patch, before its expansion to int16. */
static int64_t patch_bytes(const reds_dims *filter) {
  return (int64_t)filter->height * filter->width * filter->channels;
}

size_t reds_convolve_s8_get_buffer_size(const reds_dims *filter_dims) {
  if (!reds_dims_valid(filter_dims)) return 0;
  return reds_scratch_size(reds_patch_groups(filter_dims) * REDS_PAIR_BYTES +
                           patch_bytes(filter_dims));
}

static int arguments_valid(const reds_context *context, const reds_conv_params *params,
                           const reds_dims *input, const reds_dims *filter,
                           const reds_dims *output) {
  return reds_dims_valid(input) && reds_dims_valid(output) &&
         reds_filter_valid(filter, output->channels) && filter->channels == input->channels &&
         reds_conv_params_valid(params, filter, output) &&
         reds_scratch_valid(context, reds_convolve_s8_get_buffer_size(filter));
}

#if defined(REDS_DSP)

/* Copies one row of taps; neighbours in memory go as one run. */
static void gather_row(const convolution *c, const int8_t *source, int32_t taps, int8_t *patch) {
  const int32_t step = c->params->dilation.width * c->input->channel_stride;
  int32_t run = c->filter->channels;
  if (step == run) {
    run *= taps;
    taps = 1;
  }
  for (int32_t tap = 0; tap < taps; ++tap, source += step, patch += run) {
    __builtin_memcpy(patch, source, (size_t)run);
  }
}

/* The inputs of output (y, x) in filter order, padding filled with the zero point. */
static void gather(const convolution *c, const int8_t *input, int32_t y, int32_t x, int8_t *patch) {
  const reds_conv_params *p = c->params;
  const int32_t top = y * p->stride.height - p->padding.height;
  const int32_t left = x * p->stride.width - p->padding.width;
  const int32_t height = c->filter->height, width = c->filter->width;
  const reds_taps rows = reds_clip(top, height, p->dilation.height, c->input->height);
  const reds_taps columns = reds_clip(left, width, p->dilation.width, c->input->width);
  const int32_t inside = columns.last - columns.first;
  if (rows.last - rows.first != height || inside != width) {
    __builtin_memset(patch, -p->input_offset, (size_t)patch_bytes(c->filter));
  }
  if (inside == 0) return;
  const int32_t column = left + columns.first * p->dilation.width;
  for (int32_t tap = rows.first; tap < rows.last; ++tap) {
    const int32_t position = (top + tap * p->dilation.height) * c->input->width + column;
    gather_row(c, input + position * c->input->channel_stride, inside,
               patch + (tap * width + columns.first) * c->filter->channels);
  }
}

/* Expands a gathered patch into one lane of the interleaved pair. */
static void expand(const convolution *c, const reds_segments *segments, const int8_t *patch,
                   uint32_t *lane) {
  for (int32_t segment = 0; segment < segments->count; ++segment, patch += segments->length) {
    lane = reds_expand(patch, segments->length, c->params->input_offset, REDS_PAIR_WORDS, lane);
  }
}

static void convolve(const convolution *c, const reds_outputs *outputs, const int8_t *input,
                     const int8_t *filter, int8_t *output, uint32_t *patches) {
  const reds_segments segments = reds_row_segments(c->filter);
  int8_t *patch = (int8_t *)(patches + REDS_PAIR_WORDS * reds_patch_groups(c->filter));
  const int32_t positions = c->output->height * c->output->width;
  for (int32_t position = 0; position < positions; position += 2) {
    const int32_t next = position + 1 < positions ? position + 1 : position;
    gather(c, input, position / c->output->width, position % c->output->width, patch);
    expand(c, &segments, patch, patches);
    gather(c, input, next / c->output->width, next % c->output->width, patch);
    expand(c, &segments, patch, patches + 2);
    reds_multiply_patches(&segments, outputs, filter, c->output->channels, patches,
                          output + position * c->output->channel_stride,
                          output + next * c->output->channel_stride);
  }
}

#else

/* One output's sum over the taps inside the input: padding adds nothing. */
static int32_t sum_taps(const convolution *c, const int8_t *input, const int8_t *filter,
                        int32_t top, int32_t left, reds_taps rows, reds_taps columns) {
  const reds_extent dilation = c->params->dilation;
  int32_t sum = 0;
  for (int32_t tap_y = rows.first; tap_y < rows.last; ++tap_y) {
    for (int32_t tap_x = columns.first; tap_x < columns.last; ++tap_x) {
      const int32_t y = top + tap_y * dilation.height;
      const int32_t x = left + tap_x * dilation.width;
      const int8_t *source = input + (y * c->input->width + x) * c->input->channel_stride;
      const int32_t tap = tap_y * c->filter->width + tap_x;
      sum += reds_dot(source, filter + tap * c->filter->channel_stride, c->filter->channels,
                      c->params->input_offset);
    }
  }
  return sum;
}

static void convolve_position(const convolution *c, const reds_outputs *outputs,
                              const int8_t *input, const int8_t *filter, int32_t y, int32_t x,
                              int8_t *output) {
  const reds_conv_params *p = c->params;
  const int32_t top = y * p->stride.height - p->padding.height;
  const int32_t left = x * p->stride.width - p->padding.width;
  const reds_taps rows = reds_clip(top, c->filter->height, p->dilation.height, c->input->height);
  const reds_taps columns = reds_clip(left, c->filter->width, p->dilation.width, c->input->width);
  const int32_t row = c->filter->height * c->filter->width * c->filter->channel_stride;
  for (int32_t channel = 0; channel < c->output->channels; ++channel, filter += row) {
    const int32_t sum = sum_taps(c, input, filter, top, left, rows, columns);
    output[channel] = reds_output(outputs, channel, sum);
  }
}

static void convolve(const convolution *c, const reds_outputs *outputs, const int8_t *input,
                     const int8_t *filter, int8_t *output, uint32_t *patches) {
  (void)patches;
  for (int32_t y = 0; y < c->output->height; ++y) {
    for (int32_t x = 0; x < c->output->width; ++x, output += c->output->channel_stride) {
      convolve_position(c, outputs, input, filter, y, x, output);
    }
  }
}

#endif

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
  const convolution shape = {params, input_dims, filter_dims, output_dims};
  const reds_outputs outputs = {bias, requantisation->multiplier, requantisation->shift,
                                params->output_offset, params->activation,
                                params->lookup};
  convolve(&shape, &outputs, input, filter, output, context->buffer);
  return REDS_OK;
}
