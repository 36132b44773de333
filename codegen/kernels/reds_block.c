#include "reds_block.h"

#if defined(REDS_MVE)
#include "reds_block_mve.h"
#else

#if defined(REDS_DSP)
#include "reds_block_dsp.h"
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
static void multiply_any(const reds_product *product, int32_t positions, int8_t *output) {
  const int32_t pair_bytes = reds_pair_bytes(&product->rows);
  const int8_t *pair = product->filter;
  for (int32_t channel = 0; channel < product->channels; channel += 2, pair += pair_bytes) {
    reds_block sums;
    start_pair(product, channel, &sums);
    reds_sum_rows(&product->rows, product->patches, pair, &sums);
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
  const int32_t pair_bytes = reds_pair_bytes(&product->rows);
  const int8_t *pair =
      product->filter + first * (part->halves * REDS_HALF_BYTES + part->skipped);
  for (int32_t channel = 0; channel < product->channels; channel += 2, pair += pair_bytes) {
    reds_sum_rows(part, product->patches, pair, sums++);
  }
}

void reds_output_sums(const reds_product *product, const reds_block *sums, int32_t positions,
                      int8_t *output) {
  for (int32_t channel = 0; channel < product->channels; channel += 2) {
    output_pair(product, channel, sums++, positions, output);
  }
}

#if defined(REDS_DSP)

/* Segments that each fit a run: a row that is one long segment is cut. */
static int32_t segment_parts(const reds_rows *rows) {
  int32_t parts = 1;
  while (rows->halves % parts != 0 || rows->halves / parts > REDS_RUN_HALVES) ++parts;
  return parts;
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

static void prepare_body(reds_product *product, REDS_UNUSED const reds_dims *filter_dims,
                         REDS_UNUSED const reds_context *context) {
  const reds_rows *rows = &product->rows;
  const reds_outputs *outputs = &product->outputs;
  const int32_t parts = segment_parts(rows);
  const int fits = parts == 1 || rows->count == 1;
  if (!fits || !reds_outputs_simple(outputs, product->channels)) return;
  const reds_four four = {.patches = product->patches,
                          .weights = product->filter,
                          .halves = rows->halves / parts,
                          .pairs = product->channels / 2,
                          .bias = outputs->bias,
                          .multiplier = outputs->multiplier,
                          .shift = outputs->shift,
                          .stride = product->stride,
                          .rounding = -1 - outputs->offset,
                          .skipped = parts == 1 ? rows->skipped : 0,
                          .rest = parts == 1 ? 0 : rows->skipped,
                          .count = rows->count * parts,
                          .period = REDS_RUN_HALVES * parts / rows->halves,
                          .lookup = outputs->lookup == NULL ? NULL : outputs->lookup + 128};
  product->four = four;
  product->multiply_four = reds_multiply_four_runs;
  /* Below an activation's minimum at the zero point the sign changes nothing. */
  if (four.count == 1 && outputs->activation.min >= outputs->offset && four.lookup == NULL) {
    product->multiply_four = reds_multiply_four_relu;
  }
  product->is_fast = product->channels % 2 == 0;
  if (!product->is_fast) prepare_single(product);
}

/* The last row: as a pair, of which half is dropped. */
static void multiply_single(reds_product *product, int8_t *output) {
  reds_single *single = &product->single;
  reds_four four = product->four;
  four.weights += product->channels / 2 * reds_pair_bytes(&product->rows);
  four.pairs = 1;
  four.bias = single->bias;
  four.multiplier = single->multiplier;
  four.shift = single->shift;
  four.output = single->outputs;
  four.stride = 2;
  product->multiply_four(&four);
  output += product->channels - 1;
  for (int32_t i = 0; i < REDS_POSITIONS; ++i) output[i * product->stride] = single->outputs[2 * i];
}

static void multiply_four(reds_product *product, int8_t *output) {
  product->four.output = output;
  if (product->four.pairs > 0) product->multiply_four(&product->four);
  if (product->channels % 2 != 0) multiply_single(product, output);
}

#else

static void prepare_body(REDS_UNUSED reds_product *product,
                         REDS_UNUSED const reds_dims *filter_dims,
                         REDS_UNUSED const reds_context *context) {}

static void multiply_four(reds_product *product, int8_t *output) {
  multiply_any(product, REDS_POSITIONS, output);
}

#endif

void reds_multiply_slowly(reds_product *product, int32_t positions, int8_t *output) {
  if (positions == REDS_POSITIONS && product->multiply_four != NULL) {
    multiply_four(product, output);
  } else {
    multiply_any(product, positions, output);
  }
}

#endif /* REDS_MVE */

void reds_prepare(reds_product *product, const reds_dims *filter_dims, const int8_t *filter,
                  const reds_outputs *outputs, int32_t input_offset, const reds_dims *output_dims,
                  const reds_context *context) {
  product->rows = reds_active_rows(filter_dims);
  product->outputs = *outputs;
  product->input_offset = input_offset;
  product->filter = filter;
  product->channels = output_dims->channels;
  product->stride = output_dims->channel_stride;
  product->patches = context->buffer;
  product->multiply_four = NULL;
  product->is_fast = 0;
  prepare_body(product, filter_dims, context);
}
