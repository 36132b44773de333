#include "reds_support.h"

/* A window over the input at one output position: where it starts and which taps lie inside. */
typedef struct {
  const reds_dims *input;
  const reds_dims *filter;
  reds_extent dilation;
  int32_t input_offset;
  int32_t top;
  int32_t left;
  reds_taps rows;
  reds_taps columns;
} window;

static int arguments_valid(const reds_call *call) {
  const int32_t outputs = call->output_dims->channels;
  return call->filter_dims->channels == outputs && outputs % call->input_dims->channels == 0;
}

static const int8_t *tap_input(const window *w, const int8_t *input, int32_t tap_y,
                               int32_t tap_x) {
  const int32_t y = w->top + tap_y * w->dilation.height;
  const int32_t x = w->left + tap_x * w->dilation.width;
  return input + (y * w->input->width + x) * w->input->channel_stride;
}

static const int8_t *tap_filter(const window *w, const int8_t *filter, int32_t tap_y,
                                int32_t tap_x) {
  return filter + (tap_y * w->filter->width + tap_x) * w->filter->channel_stride;
}

/* One channel; padding adds nothing. */
static int32_t sum_channel(const window *w, const int8_t *input, const int8_t *filter) {
  int32_t sum = 0;
  for (int32_t y = w->rows.first; y < w->rows.last; ++y) {
    for (int32_t x = w->columns.first; x < w->columns.last; ++x) {
      sum += (*tap_input(w, input, y, x) + w->input_offset) * *tap_filter(w, filter, y, x);
    }
  }
  return sum;
}

#if defined(REDS_DSP)

/* Four channels: one word of inputs and one of weights for each tap. */
static REDS_NOINLINE void sum_four_channels(const window *w, const int8_t *input,
                                            const int8_t *filter, int32_t *sums) {
  const uint32_t offsets = ((uint32_t)w->input_offset << 16) | ((uint32_t)w->input_offset & 0xffff);
  const int32_t input_step = w->dilation.width * w->input->channel_stride;
  const int32_t filter_step = w->filter->channel_stride;
  const int32_t taps = w->columns.last - w->columns.first;
  int32_t sum0 = 0, sum1 = 0, sum2 = 0, sum3 = 0;
  for (int32_t y = w->rows.first; y < w->rows.last && taps > 0; ++y) {
    const int8_t *source = tap_input(w, input, y, w->columns.first);
    const int8_t *weights = tap_filter(w, filter, y, w->columns.first);
    const int8_t *end = weights + taps * filter_step;
    do {
      const uint32_t inputs = reds_load_word(source);
      const uint32_t factors = reds_load_word(weights);
      source += input_step;
      weights += filter_step;
      uint32_t pair = reds_add_even_bytes(offsets, inputs), pair_w = reds_even_bytes(factors);
      sum0 = reds_multiply_low(pair, pair_w, sum0);
      sum2 = reds_multiply_high(pair, pair_w, sum2);
      pair = reds_add_odd_bytes(offsets, inputs), pair_w = reds_odd_bytes(factors);
      sum1 = reds_multiply_low(pair, pair_w, sum1);
      sum3 = reds_multiply_high(pair, pair_w, sum3);
    } while (weights != end);
  }
  sums[0] = sum0, sums[1] = sum1, sums[2] = sum2, sums[3] = sum3;
}

/* Groups of four channels; the last group overlaps the one before where channels % 4 != 0. */
static void convolve_position(const window *w, const reds_outputs *shared_outputs,
                              const int8_t *input, const int8_t *filter, int32_t channels,
                              int8_t *output) {
  const reds_outputs outputs = *shared_outputs; /* a local copy: no int8 store can alias it */
  for (int32_t channel = 0; channel < channels && channels < 4; ++channel) {
    const int32_t sum = sum_channel(w, input + channel, filter + channel);
    output[channel] = reds_output_inline(&outputs, channel, sum);
  }
  if (channels < 4) return;
  for (int32_t next = 0; next < channels; next += 4) {
    const int32_t first = next + 4 <= channels ? next : channels - 4;
    int32_t sums[4];
    sum_four_channels(w, input + first, filter + first, sums);
    for (int32_t i = 0; i < 4; ++i) {
      output[first + i] = reds_output_inline(&outputs, first + i, sums[i]);
    }
  }
}

#else

static void convolve_position(const window *w, const reds_outputs *outputs, const int8_t *input,
                              const int8_t *filter, int32_t channels, int8_t *output) {
  for (int32_t channel = 0; channel < channels; ++channel) {
    const int32_t sum = sum_channel(w, input + channel, filter + channel);
    output[channel] = reds_output_inline(outputs, channel, sum);
  }
}

#endif

/* Several outputs of each input channel. */
static void multiply_position(const window *w, const reds_outputs *outputs, const int8_t *input,
                              const int8_t *filter, int32_t channels, int8_t *output) {
  const int32_t multiplier = channels / w->input->channels;
  for (int32_t channel = 0; channel < channels; ++input) {
    for (const int32_t end = channel + multiplier; channel < end; ++channel) {
      const int32_t sum = sum_channel(w, input, filter + channel);
      output[channel] = reds_output_inline(outputs, channel, sum);
    }
  }
}

static void convolve(const reds_conv_params *params, const reds_outputs *outputs,
                     const reds_dims *input_dims, const int8_t *input, const reds_dims *filter_dims,
                     const int8_t *filter, const reds_dims *output_dims, int8_t *output) {
  window w = {.input = input_dims,
              .filter = filter_dims,
              .dilation = params->dilation,
              .input_offset = params->input_offset};
  const int32_t channels = output_dims->channels;
  for (int32_t y = 0; y < output_dims->height; ++y) {
    w.top = y * params->stride.height - params->padding.height;
    w.rows = reds_clip(w.top, filter_dims->height, w.dilation.height, input_dims->height);
    for (int32_t x = 0; x < output_dims->width; ++x, output += output_dims->channel_stride) {
      w.left = x * params->stride.width - params->padding.width;
      w.columns = reds_clip(w.left, filter_dims->width, w.dilation.width, input_dims->width);
      if (channels == input_dims->channels) {
        convolve_position(&w, outputs, input, filter, channels, output);
      } else {
        multiply_position(&w, outputs, input, filter, channels, output);
      }
    }
  }
}

reds_status reds_depthwise_conv_s8(const reds_context *context, const reds_conv_params *params,
                                   const reds_requantisation *requantisation,
                                   const reds_dims *input_dims, const int8_t *input,
                                   const reds_dims *filter_dims, const int8_t *filter,
                                   const int32_t *bias, const reds_dims *output_dims,
                                   int8_t *output) {
  const reds_call call = {context,     params, requantisation, input_dims,  input,
                          filter_dims, filter, bias,           output_dims, output};
  if (!reds_call_valid(&call) || !arguments_valid(&call)) return REDS_ERROR_ARGUMENT;
  reds_outputs outputs;
  reds_make_outputs(&call, &outputs);
  convolve(params, &outputs, input_dims, input, filter_dims, filter, output_dims, output);
  return REDS_OK;
}
