#include "reds_depthwise_pairs.h"

static int stride_valid(reds_extent stride) {
  return (stride.height == 1 || stride.height == 2) && (stride.width == 1 || stride.width == 2);
}

size_t reds_depthwise_conv_3x3_s8_get_buffer_size(const reds_conv_params *params,
                                                  const reds_dims *output_dims) {
  if (params == NULL || !reds_dims_valid(output_dims) || !stride_valid(params->stride)) return 0;
  const int64_t words = reds_is_transposed(output_dims)
                            ? reds_line_words(output_dims->height, params->stride.height)
                            : reds_line_words(output_dims->width, params->stride.width);
  return reds_scratch_size(words * 2 * (int64_t)sizeof(reds_words));
}

static int arguments_valid(const reds_context *context, const reds_conv_params *params,
                           const reds_dims *input, const reds_dims *filter,
                           const reds_dims *output) {
  return reds_dims_valid(input) && reds_dims_valid(filter) && reds_dims_valid(output) &&
         filter->height == 3 && filter->width == 3 && filter->channels == output->channels &&
         input->channels == output->channels && reds_conv_params_valid(params, filter, output) &&
         params->dilation.height == 1 && params->dilation.width == 1 &&
         reds_scratch_valid(context,
                            reds_depthwise_conv_3x3_s8_get_buffer_size(params, output));
}

/* Three lines of one channel with their padding, in plain C. */
typedef struct {
  int32_t *oldest;
  int32_t *middle;
  int32_t *newest;
  int32_t length;
} window;

/* Overwrites the oldest line. */
static void gather_line(const reds_layer *layer, const int8_t *input, int32_t line, window *lines) {
  const int inside = line >= 0 && line < layer->outer.inputs;
  const int32_t length = lines->length, step = layer->inner.input_step;
  const int32_t zero_point = -layer->input_offset;
  int32_t i = 0, first = inside ? layer->inner.padding : length;
  if (first > length) first = length;
  const int32_t room = length - first;
  const int32_t end = first + (layer->inner.inputs < room ? layer->inner.inputs : room);
  int32_t *target = lines->oldest;
  lines->oldest = lines->middle;
  lines->middle = lines->newest;
  lines->newest = target;
  if (inside) input += line * layer->outer.input_step;
  for (; i < first; ++i) target[i] = zero_point;
  for (; i < end; ++i, input += step) target[i] = *input;
  for (; i < length; ++i) target[i] = zero_point;
}

static inline int32_t sum_row(const int32_t *inputs, const int32_t *weights) {
  return inputs[0] * weights[0] + inputs[1] * weights[1] + inputs[2] * weights[2];
}

static void convolve_line(const reds_layer *layer, const window *lines, int32_t channel,
                          const int32_t *weights, int32_t start, int8_t *output) {
  const reds_outputs outputs = layer->outputs; /* a local copy: no int8 store can alias it */
  const int32_t count = layer->inner.outputs, step = layer->inner.output_step;
  window w = *lines;
  for (int32_t i = 0; i < count; ++i, output += step) {
    const int32_t sum = start + sum_row(w.oldest, weights) + sum_row(w.middle, weights + 3) +
                        sum_row(w.newest, weights + 6);
    *output = reds_output(&outputs, channel, sum);
    w.oldest += layer->inner.stride;
    w.middle += layer->inner.stride;
    w.newest += layer->inner.stride;
  }
}

static REDS_NOINLINE void convolve_channel(const reds_layer *layer, int32_t channel,
                                           const int8_t *input, const int8_t *filter,
                                           int8_t *output, void *buffer) {
  const reds_axis *outer = &layer->outer;
  const int32_t length = 2 * (int32_t)reds_line_words(layer->inner.outputs, layer->inner.stride);
  int32_t *memory = buffer;
  window lines = {memory, memory + length, memory + 2 * length, length};
  int32_t weights[REDS_TAPS], sum = 0;
  for (int32_t i = 0; i < REDS_TAPS; ++i) {
    weights[i] = filter[i / 3 * layer->row_step + i % 3 * layer->tap_step];
    sum += weights[i];
  }
  const int32_t start = layer->input_offset * sum;
  int32_t line = -outer->padding;
  for (int32_t i = 0; i < outer->outputs; ++i, output += outer->output_step) {
    const int32_t end = i * outer->stride - outer->padding + 3;
    for (; line < end; ++line) gather_line(layer, input, line, &lines);
    convolve_line(layer, &lines, channel, weights, start, output);
  }
}

static void convolve_channels(const reds_layer *layer, int32_t channels, const int8_t *input,
                              const int8_t *filter, int8_t *output, void *buffer) {
  for (int32_t channel = 0; channel < channels; ++channel, filter += REDS_TAPS) {
    convolve_channel(layer, channel, input + channel, filter, output + channel, buffer);
  }
}

#if defined(REDS_LINES)

/* Channels first .. end - 1, of the two that are gathered from `base` on. */
static void convolve_pair(const reds_layer *layer, int32_t base, int32_t first, int32_t end,
                          const int8_t *input, const int8_t *filter, int8_t *output,
                          reds_lines *lines, reds_channel *pair) {
  reds_channel *started = NULL, *next = NULL;
  for (int32_t channel = first; channel < end; ++channel) {
    const int8_t *weights = filter + channel * REDS_TAPS;
    if (reds_fits_channel(&layer->outputs, channel)) {
      next = pair + (channel - base);
      if (started == NULL) started = next;
      reds_start_channel(layer, channel, weights, output + channel, next++);
    } else {
      convolve_channel(layer, channel, input + channel, weights, output + channel, lines->words);
      reds_start_lines(layer, lines);
    }
  }
  if (started == NULL) return;
  lines->input = input + base;
  reds_convolve_lines(lines, started, next);
  reds_restart_lines(layer, lines);
}

/* The last of an odd number of channels is gathered with the one before it, where none follows. */
static void convolve_pairs(const reds_layer *layer, const reds_dims *input_dims,
                           const int8_t *input, const int8_t *filter, int8_t *output,
                           void *buffer) {
  const int32_t channels = input_dims->channels;
  reds_lines lines;
  reds_channel pair[2];
  reds_make_lines(layer, buffer, &lines);
  reds_make_channel(layer, lines.words, &pair[0]);
  reds_make_channel(layer, lines.words + lines.fill, &pair[1]);
  for (int32_t i = 0; i < channels; i += 2) {
    const int32_t base = i + 1 < input_dims->channel_stride ? i : i - 1;
    const int32_t end = i + 2 < channels ? i + 2 : channels;
    convolve_pair(layer, base, i, end, input, filter, output, &lines, pair);
  }
}

/* The assembly saturates to int8; a table makes any other activation of that. */
static REDS_NOINLINE void convolve_by_table(reds_layer *layer, const reds_dims *input_dims,
                                            const int8_t *input, const int8_t *filter,
                                            int8_t *output, void *buffer) {
  int8_t table[256];
  reds_outputs *outputs = &layer->outputs;
  for (int32_t i = 0; i < 256; ++i) table[i] = reds_activate(outputs, i - 128 - outputs->offset);
  outputs->activation.min = -128;
  outputs->activation.max = 127;
  outputs->lookup = table;
  convolve_pairs(layer, input_dims, input, filter, output, buffer);
}

static void convolve(reds_layer *layer, const reds_dims *input_dims, const int8_t *input,
                     const int8_t *filter, int8_t *output, void *buffer) {
  const reds_activation activation = layer->outputs.activation;
  if (!reds_fits_layer(layer, input_dims)) {
    convolve_channels(layer, input_dims->channels, input, filter, output, buffer);
  } else if (activation.min == -128 && activation.max == 127) {
    convolve_pairs(layer, input_dims, input, filter, output, buffer);
  } else {
    convolve_by_table(layer, input_dims, input, filter, output, buffer);
  }
}

#else

static void convolve(reds_layer *layer, const reds_dims *input_dims, const int8_t *input,
                     const int8_t *filter, int8_t *output, void *buffer) {
  convolve_channels(layer, input_dims->channels, input, filter, output, buffer);
}

#endif

reds_status reds_depthwise_conv_3x3_s8(const reds_context *context, const reds_conv_params *params,
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
                                params->output_offset, params->activation, params->lookup};
  reds_layer layer;
  reds_make_layer(params, &outputs, input_dims, output_dims, &layer);
  convolve(&layer, input_dims, input, filter, output, context->buffer);
  return REDS_OK;
}
