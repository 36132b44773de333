/* What the assembly of reds_depthwise_lines.h needs, from the layer and its tables. Not public. */
#ifndef REDS_DEPTHWISE_PAIRS_H_
#define REDS_DEPTHWISE_PAIRS_H_

#include "reds_depthwise_lines.h"

#if defined(REDS_LINES)

#define REDS_BIAS_LIMIT (1 << 29) /* sums are doubled */
#define REDS_STEP_LIMIT (1 << 16)

/* The values of an input line that some output reads. */
static inline int32_t reds_used_inputs(const reds_axis *inner) {
  const int32_t room = 2 * reds_word_count(inner->outputs, inner->stride) - inner->padding;
  return room < inner->inputs ? room : inner->inputs;
}

/* Whether the assembly can compute the layer. */
static inline int reds_fits_layer(const reds_layer *layer) {
  return layer->outputs.activation.min >= -128 && layer->outputs.activation.max <= 127 &&
         layer->inner.output_step < REDS_STEP_LIMIT && reds_used_inputs(&layer->inner) > 0 &&
         layer->channel_stride > 1;
}

static inline int reds_fits_channel(const reds_layer *layer, int32_t channel) {
  const int32_t bias = layer->outputs.bias[channel];
  return layer->outputs.shift[channel] < 0 && bias > -REDS_BIAS_LIMIT && bias < REDS_BIAS_LIMIT;
}

/* Before the first channels: the ring holds nothing but zero points. */
static REDS_COLD void reds_start_lines(const reds_layer *layer, reds_lines *lines) {
  const uint32_t zero = lines->zero;
  reds_words *words = lines->words, *end = words + 2 * lines->fill;
  for (; words != end; ++words) words->slots[0] = words->slots[1] = words->slots[2] = zero;
  lines->line = -layer->outer.padding;
  lines->slot = -12;
  lines->missing = 3;
}

/* Before further channels: where the last line was padding, it serves as the first one. */
static inline void reds_restart_lines(const reds_layer *layer, reds_lines *lines) {
  lines->line = lines->kept - layer->outer.padding;
  lines->missing = 3 - lines->kept;
}

static inline int32_t reds_kept_lines(const reds_axis *outer) {
  const int32_t last = (outer->outputs - 1) * outer->stride - outer->padding + 2;
  return outer->padding > 0 && last >= outer->inputs;
}

static REDS_COLD void reds_make_lines(const reds_layer *layer, reds_lines *lines) {
  const reds_axis *inner = &layer->inner, *outer = &layer->outer;
  reds_words *words = layer->buffer;
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
  lines->fours = values >> 2;
  lines->rest = values & 3;
  lines->three_steps = 3 * inner->input_step;
  lines->zero = reds_pair(-layer->input_offset, -layer->input_offset);
  lines->fill = reds_line_words(inner->outputs, inner->stride);
  lines->distance = lines->fill * (int32_t)sizeof(reds_words);
  lines->words = words;
  lines->kept = reds_kept_lines(outer);
  reds_start_lines(layer, lines);
}

static inline void reds_make_channel(const reds_layer *layer, const reds_words *words,
                                     reds_channel *channel) {
  const int32_t pairs = layer->inner.stride == 1 ? layer->inner.outputs >> 1 : 0;
  /* With the lowest value as zero point, negative values end up there however they round. */
  const int simple = pairs > 0 && layer->outputs.offset == -128 && layer->outputs.lookup == NULL;
  channel->words = words;
  channel->pairs_end = words + pairs + 1;
  channel->words_end = words + reds_word_count(layer->inner.outputs, layer->inner.stride);
  channel->mode = simple ? REDS_SIMPLE_PAIRS(pairs) : REDS_OTHER_PAIRS;
}

/* Rows 0, 1, 2 of the weights, before them 1 and 2 once more; returns their sum. */
static inline int32_t reds_pack_rows(const reds_layer *layer, int32_t channel, uint32_t *rows) {
  const int8_t *filter = layer->filter + channel * REDS_TAPS;
  const int32_t step = layer->tap_step;
  int32_t sum = 0;
  for (int32_t i = 4; i < 10; i += 2, filter += layer->row_step) {
    const int32_t first = filter[0], middle = filter[step], last = filter[2 * step];
    rows[i] = reds_pair(2 * first, 2 * middle);
    rows[i + 1] = reds_pair(2 * middle, 2 * last);
    sum += first + middle + last;
  }
  for (int32_t i = 0; i < 4; ++i) rows[i] = rows[i + 6];
  return sum;
}

static inline void reds_start_channel(const reds_layer *layer, int32_t index,
                                      reds_channel *channel) {
  const int32_t sum = reds_pack_rows(layer, index, channel->weights);
  channel->start = 2 * (layer->outputs.bias[index] + layer->input_offset * sum);
  channel->multiplier = layer->outputs.multiplier[index];
  channel->scaling = (uint32_t)-layer->outputs.shift[index] |
                     (uint32_t)layer->inner.output_step << 8 |
                     (uint32_t)layer->outputs.offset << 24;
  channel->output = layer->output + index;
}

#endif /* REDS_LINES */
#endif /* REDS_DEPTHWISE_PAIRS_H_ */
