/* What the assembly of reds_depthwise_lines.h needs, from the layer and its tables. Not public. */
#ifndef REDS_DEPTHWISE_PAIRS_H_
#define REDS_DEPTHWISE_PAIRS_H_

#include "reds_depthwise_lines.h"

#if defined(REDS_LINES)

#define REDS_BIAS_LIMIT (1 << 29) /* sums are doubled */
#define REDS_STEP_LIMIT (1 << 16)

/* The values of an input line that some output reads. */
static inline int32_t reds_used_inputs(const reds_axis *inner) {
  const int64_t room = 2 * reds_word_count(inner->outputs, inner->stride) - inner->padding;
  return room < inner->inputs ? (int32_t)(room > 0 ? room : 0) : inner->inputs;
}

/* Whether the assembly can compute the layer. */
static inline int reds_fits_layer(const reds_layer *layer, const reds_dims *input) {
  return layer->outputs.activation.min >= -128 && layer->outputs.activation.max <= 127 &&
         layer->inner.output_step < REDS_STEP_LIMIT && reds_used_inputs(&layer->inner) > 0 &&
         input->channel_stride > 1;
}

static inline int reds_fits_channel(const reds_outputs *outputs, int32_t channel) {
  const int32_t bias = outputs->bias[channel];
  return outputs->shift[channel] < 0 && bias > -REDS_BIAS_LIMIT && bias < REDS_BIAS_LIMIT;
}

/* Before the first channels: the ring holds nothing but zero points. */
static inline void reds_start_lines(const reds_layer *layer, reds_lines *lines) {
  for (int32_t i = 0; i < 2 * lines->fill; ++i) {
    uint32_t *slots = lines->words[i].slots;
    slots[0] = slots[1] = slots[2] = lines->zero;
  }
  lines->line = -layer->outer.padding;
  lines->slot = -12;
  lines->missing = 3;
}

/* Before further channels: where the last line was padding, it serves as the first one. */
static inline void reds_restart_lines(const reds_layer *layer, reds_lines *lines) {
  const reds_axis *outer = &layer->outer;
  const int32_t last = (outer->outputs - 1) * outer->stride - outer->padding + 2;
  const int32_t kept = outer->padding > 0 && last >= outer->inputs;
  lines->line = kept - outer->padding;
  lines->missing = 3 - kept;
}

static inline void reds_make_lines(const reds_layer *layer, reds_words *words, reds_lines *lines) {
  const reds_axis *inner = &layer->inner, *outer = &layer->outer;
  const int32_t odd = inner->padding & 1, values = reds_used_inputs(inner) - odd;
  lines->lines = outer->inputs;
  lines->stride = outer->stride;
  lines->outputs = outer->outputs;
  lines->output_line = outer->output_step;
  lines->lookup = layer->outputs.lookup == NULL ? NULL : layer->outputs.lookup + 128;
  /* One word further: the slot counts from -12 on. */
  lines->target = (int8_t *)(words + inner->padding / 2 + 1) + 2 * odd;
  lines->step = inner->input_step;
  lines->input_line = outer->input_step;
  lines->eights = values / 8;
  lines->rest = values % 8;
  lines->three_steps = 3 * inner->input_step;
  lines->zero = reds_pair(-layer->input_offset, -layer->input_offset);
  lines->fill = (int32_t)reds_line_words(inner->outputs, inner->stride);
  lines->distance = lines->fill * (int32_t)sizeof(reds_words);
  lines->words = words;
  reds_start_lines(layer, lines);
}

static inline void reds_make_channel(const reds_layer *layer, const reds_words *words,
                                     reds_channel *channel) {
  const int32_t pairs = layer->inner.stride == 1 ? layer->inner.outputs / 2 : 0;
  /* With the lowest value as zero point, negative values end up there however they round. */
  const int simple = pairs > 0 && layer->outputs.offset == -128 && layer->outputs.lookup == NULL;
  channel->words = words;
  channel->pairs_end = words + pairs + 1;
  channel->words_end = words + reds_word_count(layer->inner.outputs, layer->inner.stride);
  channel->mode = simple ? REDS_SIMPLE_PAIRS(pairs) : REDS_OTHER_PAIRS(pairs);
}

static inline int32_t reds_pack_row(const int8_t *filter, int32_t step, uint32_t *row) {
  const int32_t first = filter[0], middle = filter[step], last = filter[2 * step];
  row[0] = reds_pair(2 * first, 2 * middle);
  row[1] = reds_pair(2 * middle, 2 * last);
  return first + middle + last;
}

static inline void reds_start_channel(const reds_layer *layer, int32_t index,
                                             const int8_t *filter, int8_t *output,
                                             reds_channel *channel) {
  uint32_t *rows = channel->weights;
  int32_t sum = reds_pack_row(filter, layer->tap_step, rows + 4);
  sum += reds_pack_row(filter + layer->row_step, layer->tap_step, rows);
  sum += reds_pack_row(filter + 2 * layer->row_step, layer->tap_step, rows + 2);
  rows[6] = rows[0], rows[7] = rows[1], rows[8] = rows[2], rows[9] = rows[3];
  channel->start = 2 * (layer->outputs.bias[index] + layer->input_offset * sum);
  channel->multiplier = layer->outputs.multiplier[index];
  channel->scaling = (uint32_t)-layer->outputs.shift[index] |
                     (uint32_t)layer->inner.output_step << 8 |
                     (uint32_t)layer->outputs.offset << 24;
  channel->output = output;
}

#endif /* REDS_LINES */
#endif /* REDS_DEPTHWISE_PAIRS_H_ */
