#include "reds_block.h"

#if defined(REDS_MVE)
#include "reds_block_mve.h"
#else

#if defined(REDS_DSP)
#include "reds_block_dsp.h"
#include "reds_vector.h"
#else
#include "reds_block_plain.h"
#endif

static inline void start_row(int32_t bias, int32_t *sums) {
  for (int32_t i = 0; i < REDS_POSITIONS; ++i) sums[i] = bias;
}

/* Whether the row pair that begins at `channel` lacks its second row. */
static inline int is_single(const reds_product *product, int32_t channel) {
  return channel + 1 == product->channels;
}

/* The biases of one row pair as its sums. */
static inline void start_pair(const reds_product *product, int32_t channel, reds_block *sums) {
  const int32_t *bias = product->outputs.bias + channel;
  start_row(bias[0], sums->row0);
  start_row(is_single(product, channel) ? 0 : bias[1], sums->row1);
}

/* Writes one row's outputs at `positions` positions, `stride` bytes apart. */
static REDS_NOINLINE void output_row(const reds_outputs *outputs, int32_t channel,
                                     const int32_t *sums, int32_t positions, int32_t stride,
                                     int8_t *output) {
  const int32_t multiplier = outputs->multiplier[channel], shift = outputs->shift[channel];
  output += channel;
  for (const int32_t *end = sums + positions; sums != end; ++sums, output += stride) {
    *output = reds_activate(outputs, reds_requantise_channel(*sums, multiplier, shift));
  }
}

/* The outputs of one row pair. */
static void output_pair(const reds_product *product, int32_t channel, const reds_block *sums,
                        int32_t positions, int8_t *output) {
  output_row(&product->outputs, channel, sums->row0, positions, product->stride, output);
  if (is_single(product, channel)) return;
  output_row(&product->outputs, channel + 1, sums->row1, positions, product->stride, output);
}

/* All outputs, any activation. */
static REDS_COLD void multiply_any(const reds_product *product, int32_t positions, int8_t *output) {
  const int32_t pair_bytes = reds_pair_bytes(&product->rows);
  const int8_t *pair = product->filter;
  for (int32_t channel = 0; channel < product->channels; channel += 2, pair += pair_bytes) {
    reds_block sums;
    start_pair(product, channel, &sums);
    reds_sum_pairs(&product->rows, product->patches, pair, pair_bytes, 1, &sums);
    output_pair(product, channel, &sums, positions, output);
  }
}

void reds_start_sums(const reds_product *product, reds_block *sums) {
  for (int32_t channel = 0; channel < product->channels; channel += 2) {
    start_pair(product, channel, sums++);
  }
}

void reds_add_products(const reds_product *product, const reds_rows *part, int32_t first,
                       reds_block *sums) {
  const int32_t segment_bytes = part->halves * REDS_HALF_BYTES + part->skipped;
  const int8_t *weights = product->filter + first * segment_bytes;
  reds_sum_pairs(part, product->patches, weights, reds_pair_bytes(&product->rows),
                 (product->channels + 1) / 2, sums);
}

void reds_output_sums(const reds_product *product, const reds_block *sums, int32_t positions,
                      int8_t *output) {
  for (int32_t channel = 0; channel < product->channels; channel += 2) {
    output_pair(product, channel, sums++, positions, output);
  }
}

#if defined(REDS_DSP)

/* Whether the fast requantisation does for all channels: every shift to the right, and an
 * activation that lets all of int8 through. */
static int is_simple(const reds_outputs *outputs, int32_t channels) {
  int32_t all = -1;
  for (int32_t i = 0; i < channels; ++i) all &= outputs->shift[i];
  return all < 0 && outputs->activation.min == INT8_MIN && outputs->activation.max == INT8_MAX;
}

/* Repeats the tables of the last row, of an odd number. */
static void prepare_single(reds_product *product) {
  const int32_t last = product->channels - 1;
  for (int32_t i = 0; i < 2; ++i) {
    product->single.bias[i] = product->outputs.bias[last];
    product->single.multiplier[i] = product->outputs.multiplier[last];
    product->single.shift[i] = product->outputs.shift[last];
  }
}

static void prepare_body(reds_product *product, REDS_UNUSED const reds_call *call) {
  const reds_outputs *outputs = &product->outputs;
  reds_four *four = &product->four;
  if (!reds_takes_whole_rows(&product->rows) || !is_simple(outputs, product->channels)) return;
  reds_make_four(&product->rows, reds_pair_bytes(&product->rows), four);
  four->patches = product->patches;
  four->weights = product->filter;
  four->pairs = product->channels / 2;
  four->bias = outputs->bias;
  four->multiplier = outputs->multiplier;
  four->shift = outputs->shift;
  four->stride = product->stride;
  four->rounding = -1 - outputs->offset;
  four->lookup = outputs->lookup == NULL ? NULL : outputs->lookup + 128;
  four->sums = NULL;
  product->multiply_four = reds_multiply_four_runs;
  /* Below an activation's minimum at the zero point the sign changes nothing. */
  if (four->count == 1 && outputs->activation.min >= outputs->offset && four->lookup == NULL) {
    product->multiply_four = reds_multiply_four_relu;
  }
  if (product->channels % 2 != 0) prepare_single(product);
}

/* An odd number of rows, the last one as a pair, of which half is dropped. */
static REDS_NOINLINE void multiply_odd(reds_product *product) {
  reds_single *single = &product->single;
  reds_four four = product->four;
  if (four.pairs > 0) product->multiply_four(&product->four);
  four.weights += four.pairs * reds_pair_bytes(&product->rows);
  four.pairs = 1;
  four.bias = single->bias;
  four.multiplier = single->multiplier;
  four.shift = single->shift;
  four.output = single->outputs;
  four.stride = 2;
  product->multiply_four(&four);
  int8_t *output = product->four.output + product->channels - 1;
  for (int32_t i = 0; i < REDS_POSITIONS; ++i) output[i * product->stride] = single->outputs[2 * i];
}

static inline void multiply_four(reds_product *product, int8_t *output) {
  product->four.output = output;
  if (product->channels % 2 != 0) {
    multiply_odd(product);
  } else {
    product->multiply_four(&product->four);
  }
}

/* A single position: its patch is a vector. */
static REDS_COLD void multiply_one(reds_product *product, int8_t *output) {
  const int32_t halves = product->rows.halves, channels = product->channels;
  const int32_t pair_bytes = halves * REDS_HALF_BYTES + product->rows.skipped;
  uint32_t *inputs = product->patches;
  for (int32_t i = 1; i < halves; ++i) inputs[i] = inputs[i * REDS_HALF_WORDS];
  inputs[halves] = 0; /* where the last group is only half filled */
  const reds_vector vector = {inputs, (halves + 1) >> 1, pair_bytes, product->input_offset,
                              product->filter};
  int32_t done = 0;
  if (product->multiply_four == reds_multiply_four_relu) {
    done = reds_multiply_quads(&vector, &product->outputs, channels, output);
  }
  reds_multiply_rest(&vector, &product->outputs, done, channels, output);
}

void reds_multiply_patches(reds_product *product, int32_t positions, int8_t *output) {
  if (product->multiply_four != NULL && positions == REDS_POSITIONS) {
    multiply_four(product, output);
  } else if (product->rows.count == 1 && positions == 1) {
    multiply_one(product, output);
  } else {
    multiply_any(product, positions, output);
  }
}

#else

static void prepare_body(REDS_UNUSED reds_product *product, REDS_UNUSED const reds_call *call) {}

void reds_multiply_patches(reds_product *product, int32_t positions, int8_t *output) {
  multiply_any(product, positions, output);
}

#endif

#endif /* REDS_MVE */

REDS_COLD reds_rows reds_active_rows(const reds_dims *filter) {
  const int32_t taps = filter->height * filter->width;
  const int whole = filter->channels == filter->channel_stride;
  reds_rows rows = {whole ? 1 : taps, whole ? taps * filter->channels : filter->channels, 0, 0};
  const int32_t full = whole ? rows.length : filter->channel_stride;
  rows.halves = reds_halves(rows.length);
  rows.skipped = (reds_groups(full) * 2 - rows.halves) * REDS_HALF_BYTES;
  return rows;
}

REDS_COLD void reds_prepare(reds_product *product, const reds_call *call) {
  product->rows = reds_active_rows(call->filter_dims);
  reds_make_outputs(call, &product->outputs);
  product->input_offset = call->params->input_offset;
  product->filter = call->filter;
  product->channels = call->output_dims->channels;
  product->stride = call->output_dims->channel_stride;
  product->patches = call->context->buffer;
  product->multiply_four = NULL;
  prepare_body(product, call);
}

int64_t reds_patch_bytes(const reds_dims *filter) {
  const reds_rows rows = reds_active_rows(filter);
  return (int64_t)rows.count * rows.halves * REDS_HALF_WORDS * (int64_t)sizeof(uint32_t);
}

REDS_COLD size_t reds_patch_scratch(const reds_dims *filter) {
  return reds_dims_valid(filter) ? reds_scratch_size(reds_patch_bytes(filter)) : 0;
}
