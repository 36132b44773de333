#include "reds_direct.h"

/* The fixed shape of a layer. */
typedef struct {
  const reds_call *call;
  reds_outputs outputs;
  int32_t pair_bytes; /* from one row pair to the next */
  int32_t tap_bytes;  /* of a row pair, from one tap to the next */
  int32_t tap_step;   /* bytes of the input from tap to tap */
  int32_t row_step;   /* and from row to row */
  int32_t row_bytes;  /* of a row pair, from one row of taps to the next */
  int together;       /* whether the taps of a row lie side by side, there and in a row pair */
} reds_layer;

/* The taps of one window that lie inside the input, as runs of inputs side by side. */
typedef struct {
  const int8_t *input;   /* the first one */
  const int8_t *weights; /* its weights in the first row pair */
  int32_t outer;         /* rows of several runs, or 1 */
  reds_runs inner;       /* the runs of a row, or of all rows */
  int32_t together;      /* runs that a call may take; 0: these are no whole groups, or too long */
} reds_window;

/* The runs of `rows` rows of `columns` taps. */
static void set_runs(const reds_layer *layer, int32_t rows, int32_t columns, reds_window *window) {
  const int32_t channels = layer->call->filter_dims->channels;
  reds_runs runs = {columns, channels, layer->call->params->input_offset, layer->tap_step,
                    layer->tap_bytes};
  window->outer = rows;
  if (layer->together) {
    runs.count = columns > 0 ? rows : 0;
    runs.length = columns * channels;
    runs.input_gap = layer->row_step;
    runs.weight_gap = layer->row_bytes;
    window->outer = 1;
  }
  runs.input_gap -= runs.length;
  runs.weight_gap -= runs.length * REDS_MIX_BYTES;
  window->inner = runs;
  const int whole = runs.count > 0 && runs.length % REDS_GROUP_INPUTS == 0;
  window->together = whole ? REDS_DIRECT_INPUTS / runs.length : 0;
}

static reds_window window_at(const reds_layer *layer, int32_t position) {
  const reds_call *call = layer->call;
  const reds_conv_params *p = call->params;
  const reds_dims *input = call->input_dims, *filter = call->filter_dims;
  const int32_t y = position / call->output_dims->width;
  const int32_t x = position - y * call->output_dims->width;
  const int32_t top = y * p->stride.height - p->padding.height;
  const int32_t left = x * p->stride.width - p->padding.width;
  const reds_taps rows = reds_clip(top, filter->height, p->dilation.height, input->height);
  const reds_taps columns = reds_clip(left, filter->width, p->dilation.width, input->width);
  const int32_t start = (top * input->width + left) * input->channel_stride;
  reds_window window = {
      .input = call->input + start + rows.first * layer->row_step + columns.first * layer->tap_step,
      .weights = call->filter + rows.first * layer->row_bytes + columns.first * layer->tap_bytes};
  set_runs(layer, rows.last - rows.first, columns.last - columns.first, &window);
  return window;
}

/* Adds the products of one run of any length to the sums of two row pairs. */
static REDS_NOINLINE void add_run(const int8_t *input, int32_t length, int32_t offset,
                                  const int8_t *pair0, const int8_t *pair1, int32_t *sums) {
  while (length >= REDS_GROUP_INPUTS) {
    const int32_t most = length < REDS_DIRECT_INPUTS ? length & ~3 : REDS_DIRECT_INPUTS;
    const reds_runs run = {1, most, offset, 0, 0};
    reds_add_groups(&run, input, pair0, pair1, sums);
    length -= most;
    input += most;
    pair0 += most * REDS_MIX_BYTES;
    pair1 += most * REDS_MIX_BYTES;
  }
  if (length > 0) reds_add_rest(input, length, offset, pair0, pair1, sums);
}

/* Adds the products of the inner runs; as many in a call as it may take. */
static REDS_NOINLINE void add_runs(const reds_window *window, const int8_t *input,
                                   const int8_t *weights, int32_t second, int32_t *sums) {
  reds_runs runs = window->inner;
  const int32_t input_step = runs.length + runs.input_gap;
  const int32_t weight_step = runs.length * REDS_MIX_BYTES + runs.weight_gap;
  for (int32_t left = window->inner.count; left > 0; left -= runs.count) {
    if (window->together == 0) {
      runs.count = 1;
      add_run(input, runs.length, runs.offset, weights, weights + second, sums);
    } else {
      runs.count = left < window->together ? left : window->together;
      reds_add_groups(&runs, input, weights, weights + second, sums);
    }
    input += runs.count * input_step;
    weights += runs.count * weight_step;
  }
}

/* The sums of two row pairs; the second lies `second` bytes behind the first. */
static REDS_NOINLINE void sum_window(const reds_layer *layer, const reds_window *window,
                                     const int8_t *weights, int32_t second, int32_t *sums) {
  const int8_t *input = window->input;
  for (int32_t left = window->outer; left > 0; --left) {
    add_runs(window, input, weights, second, sums);
    input += layer->row_step;
    weights += layer->row_bytes;
  }
}

/* All outputs of one position, four at a time; of the last four, those that do not exist are
 * dropped. */
static REDS_NOINLINE void convolve_position(const reds_layer *layer, int32_t position) {
  const reds_outputs outputs = layer->outputs; /* a local copy: no int8 store can alias it */
  const reds_dims *dims = layer->call->output_dims;
  const reds_window window = window_at(layer, position);
  const int32_t channels = dims->channels, pair_bytes = layer->pair_bytes;
  int8_t *output = layer->call->output + position * dims->channel_stride;
  const int8_t *weights = window.weights;
  for (int32_t channel = 0; channel < channels; channel += 4, weights += 2 * pair_bytes) {
    int32_t sums[4] = {0, 0, 0, 0};
    sum_window(layer, &window, weights, channel + 2 < channels ? pair_bytes : 0, sums);
    for (int32_t i = 0; i < 4 && channel + i < channels; ++i) {
      output[channel + i] = reds_output_inline(&outputs, channel + i, sums[i]);
    }
  }
}

/* Whether each tap begins with a group of its own, or there is one only. */
static int taps_begin_groups(const reds_dims *filter) {
  return filter->channels != filter->channel_stride || filter->channels % REDS_GROUP_INPUTS == 0 ||
         (filter->height == 1 && filter->width == 1);
}

/* Whether each row of taps does, and lies side by side within a row of the input. */
static int rows_begin_groups(const reds_call *call) {
  const reds_dims *input = call->input_dims, *filter = call->filter_dims;
  const reds_conv_params *params = call->params;
  const int64_t last = (int64_t)(call->output_dims->width - 1) * params->stride.width;
  return (int64_t)filter->width * filter->channels % REDS_GROUP_INPUTS == 0 &&
         input->channels == input->channel_stride && params->dilation.width == 1 &&
         params->padding.width == 0 && last + filter->width <= input->width;
}

static int arguments_valid(const reds_call *call) {
  return reds_packed_valid(call->filter) &&
         call->filter_dims->channels == call->input_dims->channels &&
         (taps_begin_groups(call->filter_dims) || rows_begin_groups(call));
}

static reds_layer make_layer(const reds_call *call) {
  const reds_dims *input = call->input_dims, *filter = call->filter_dims;
  const reds_extent dilation = call->params->dilation;
  const reds_rows rows = reds_active_rows(filter);
  reds_layer layer = {.call = call};
  reds_make_outputs(call, &layer.outputs);
  layer.pair_bytes = reds_pair_bytes(&rows);
  layer.tap_bytes = taps_begin_groups(filter)
                        ? reds_groups(filter->channel_stride) * 2 * REDS_HALF_BYTES
                        : filter->channels * REDS_MIX_BYTES;
  layer.row_bytes = filter->width * layer.tap_bytes;
  layer.tap_step = dilation.width * input->channel_stride;
  layer.row_step = dilation.height * input->width * input->channel_stride;
  layer.together = layer.tap_step == filter->channels &&
                   layer.tap_bytes == filter->channels * REDS_MIX_BYTES;
  return layer;
}

reds_status reds_convolve_direct_s8(const reds_context *context, const reds_conv_params *params,
                                    const reds_requantisation *requantisation,
                                    const reds_dims *input_dims, const int8_t *input,
                                    const reds_dims *filter_dims, const int8_t *filter,
                                    const int32_t *bias, const reds_dims *output_dims,
                                    int8_t *output) {
  const reds_call call = {context,     params, requantisation, input_dims,  input,
                          filter_dims, filter, bias,           output_dims, output};
  if (!reds_call_valid(&call) || !arguments_valid(&call)) return REDS_ERROR_ARGUMENT;
  const reds_layer layer = make_layer(&call);
  const int32_t last = output_dims->height * output_dims->width - 1;
  const int backward =
      reds_is_pointwise(&call) && output_dims->channel_stride < input_dims->channel_stride;
  for (int32_t i = 0; i <= last; ++i) convolve_position(&layer, backward ? last - i : i);
  return REDS_OK;
}
