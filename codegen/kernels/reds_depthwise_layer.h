/* The shape of a depthwise 3x3 convolution, seen as lines of one channel. Not public. */
#ifndef REDS_DEPTHWISE_LAYER_H_
#define REDS_DEPTHWISE_LAYER_H_

#include "reds_support.h"

#define REDS_TAPS 9

/* One axis of the maps; a step is the bytes from one position to the next. */
typedef struct {
  int32_t inputs;
  int32_t outputs;
  int32_t stride; /* 1 or 2 */
  int32_t padding;
  int32_t input_step;
  int32_t output_step;
} reds_axis;

/* Lines run along the inner axis, which is the height where that takes less time. */
typedef struct {
  reds_axis inner;
  reds_axis outer;
  int32_t tap_step; /* from one weight of a channel to the next along the inner axis */
  int32_t row_step; /* and along the outer one */
  int32_t input_offset;
  int32_t channels;
  int32_t channel_stride; /* of the input */
  reds_outputs outputs;
  const int8_t *input;
  const int8_t *filter;
  int8_t *output;
  void *buffer;
} reds_layer;

/* Two neighbouring positions (int16) of each of three lines. */
typedef struct {
  uint32_t slots[3];
} reds_words;

/* Relative time: outputs are made in pairs, and a line costs about as much as two pairs more. */
static inline uint64_t reds_lines_time(int32_t lines, int32_t length) {
  return (uint64_t)(uint32_t)lines * (((uint32_t)length + 1) / 2 + 2);
}

static REDS_NOINLINE int reds_is_transposed(const reds_dims *output) {
  return reds_lines_time(output->width, output->height) <
         reds_lines_time(output->height, output->width);
}

/* Words that the outputs of a line read. */
static inline int32_t reds_word_count(int32_t outputs, int32_t stride) {
  return ((outputs - 1) * stride + 4) / 2;
}

/* Words in memory for a line: an even number. */
static inline int32_t reds_line_words(int32_t outputs, int32_t stride) {
  return (reds_word_count(outputs, stride) + 1) & ~1;
}

static REDS_NOINLINE void reds_make_layer(const reds_call *call, reds_layer *layer) {
  const reds_conv_params *params = call->params;
  const reds_dims *input = call->input_dims, *output = call->output_dims;
  const int transposed = reds_is_transposed(output);
  reds_axis *rows = transposed ? &layer->inner : &layer->outer;
  reds_axis *columns = transposed ? &layer->outer : &layer->inner;
  rows->inputs = input->height;
  rows->outputs = output->height;
  rows->stride = params->stride.height;
  rows->padding = params->padding.height;
  rows->input_step = input->width * input->channel_stride;
  rows->output_step = output->width * output->channel_stride;
  columns->inputs = input->width;
  columns->outputs = output->width;
  columns->stride = params->stride.width;
  columns->padding = params->padding.width;
  columns->input_step = input->channel_stride;
  columns->output_step = output->channel_stride;
  layer->tap_step = transposed ? 3 : 1;
  layer->row_step = transposed ? 1 : 3;
  layer->input_offset = params->input_offset;
  layer->channels = input->channels;
  layer->channel_stride = input->channel_stride;
  layer->input = call->input;
  layer->filter = call->filter;
  layer->output = call->output;
  layer->buffer = call->context->buffer;
  reds_make_outputs(call, &layer->outputs);
}

#endif /* REDS_DEPTHWISE_LAYER_H_ */
