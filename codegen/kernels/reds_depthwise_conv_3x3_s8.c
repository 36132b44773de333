#include "reds_depthwise_pairs.h"
#if defined(REDS_MVE)
#include "reds_depthwise_mve.h"
#endif

#define LONGEST_LINE (1 << 26) /* whose scratch fits an int32 */

static int axis_valid(int32_t outputs, int32_t stride) {
  return outputs <= LONGEST_LINE && stride >= 1 && stride <= 2;
}

size_t reds_depthwise_conv_3x3_s8_get_buffer_size(const reds_conv_params *params,
                                                  const reds_dims *output_dims) {
  if (params == NULL || !reds_dims_valid(output_dims) ||
      !axis_valid(output_dims->height, params->stride.height) ||
      !axis_valid(output_dims->width, params->stride.width)) {
    return 0;
  }
  const int32_t words = reds_is_transposed(output_dims)
                            ? reds_line_words(output_dims->height, params->stride.height)
                            : reds_line_words(output_dims->width, params->stride.width);
  return (size_t)words * 2 * sizeof(reds_words);
}

static int arguments_valid(const reds_call *call) {
  const reds_dims *filter = call->filter_dims, *output = call->output_dims;
  const reds_extent dilation = call->params->dilation;
  return filter->height == 3 && filter->width == 3 && filter->channels == output->channels &&
         call->input_dims->channels == output->channels && dilation.height == 1 &&
         dilation.width == 1 &&
         reds_scratch_valid(call->context,
                            reds_depthwise_conv_3x3_s8_get_buffer_size(call->params, output));
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

#if defined(REDS_LINES) || defined(REDS_MVE)
REDS_COLD
#else
REDS_NOINLINE
#endif
static void convolve_channel(const reds_layer *layer, int32_t channel) {
  const reds_axis *outer = &layer->outer;
  const int32_t length = 2 * reds_line_words(layer->inner.outputs, layer->inner.stride);
  const int8_t *filter = layer->filter + channel * REDS_TAPS;
  int8_t *output = layer->output + channel;
  int32_t *memory = layer->buffer;
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
    for (; line < end; ++line) gather_line(layer, layer->input + channel, line, &lines);
    convolve_line(layer, &lines, channel, weights, start, output);
  }
}

#if defined(REDS_MVE)

/* A channel whose outputs are not shifted to the right is rare. */
static void convolve_rings(const reds_layer *layer) {
  const reds_ring ring = reds_make_ring(layer);
  reds_ring_line line = reds_make_line(layer);
  for (int32_t i = 0; i < layer->channels; ++i) {
    if (layer->outputs.shift[i] < 0) {
      reds_convolve_ring(layer, &ring, i, &line);
    } else {
      convolve_channel(layer, i);
    }
  }
}

#elif defined(REDS_LINES)

/* Channels `first` and the next, of the two that are gathered from `base` on. */
static void convolve_pair(const reds_layer *layer, int32_t base, int32_t first, reds_lines *lines,
                          reds_channel *pair) {
  reds_channel *started = NULL, *next = pair + (first - base);
  const int32_t end = base + 2 < layer->channels ? base + 2 : layer->channels;
  for (int32_t channel = first; channel < end; ++channel, ++next) {
    if (reds_fits_channel(layer, channel)) {
      reds_start_channel(layer, channel, next);
      if (started == NULL) started = next;
    } else {
      convolve_channel(layer, channel);
      reds_start_lines(layer, lines);
    }
  }
  if (started == NULL) return;
  lines->input = layer->input + base;
  reds_convolve_lines(lines, started, next);
  reds_restart_lines(layer, lines);
}

/* The last of an odd number of channels is gathered with the one before it, where none follows. */
static REDS_NOINLINE void convolve_pairs(const reds_layer *layer) {
  reds_lines lines;
  reds_channel pair[2];
  reds_make_lines(layer, &lines);
  for (int32_t i = 0; i < 2; ++i) reds_make_channel(layer, lines.words + i * lines.fill, &pair[i]);
  for (int32_t i = 0; i < layer->channels; i += 2) {
    convolve_pair(layer, i + 1 < layer->channel_stride ? i : i - 1, i, &lines, pair);
  }
}

/* The assembly saturates to int8; a table makes any other activation of that. */
static REDS_COLD void convolve_by_table(reds_layer *layer) {
  int8_t table[256];
  reds_outputs *outputs = &layer->outputs;
  for (int32_t i = 0; i < 256; ++i) table[i] = reds_activate(outputs, i - 128 - outputs->offset);
  outputs->activation.min = -128;
  outputs->activation.max = 127;
  outputs->lookup = table;
  convolve_pairs(layer);
}

#endif

static void convolve(reds_layer *layer) {
#if defined(REDS_MVE)
  if (reds_fits_ring(layer)) {
    convolve_rings(layer);
    return;
  }
#elif defined(REDS_LINES)
  const reds_activation activation = layer->outputs.activation;
  if (reds_fits_layer(layer)) {
    if (activation.min == -128 && activation.max == 127) {
      convolve_pairs(layer);
    } else {
      convolve_by_table(layer);
    }
    return;
  }
#endif
  for (int32_t i = 0; i < layer->channels; ++i) convolve_channel(layer, i);
}

reds_status reds_depthwise_conv_3x3_s8(const reds_context *context, const reds_conv_params *params,
                                       const reds_requantisation *requantisation,
                                       const reds_dims *input_dims, const int8_t *input,
                                       const reds_dims *filter_dims, const int8_t *filter,
                                       const int32_t *bias, const reds_dims *output_dims,
                                       int8_t *output) {
  const reds_call call = {context,     params, requantisation, input_dims,  input,
                          filter_dims, filter, bias,           output_dims, output};
  if (!reds_call_valid(&call) || !arguments_valid(&call)) return REDS_ERROR_ARGUMENT;
  reds_layer layer;
  reds_make_layer(&call, &layer);
  convolve(&layer);
  return REDS_OK;
}
