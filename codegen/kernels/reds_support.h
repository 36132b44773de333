/* What the kernels share: argument checks, the clipping of windows, requantisation. Not public. */
#ifndef REDS_SUPPORT_H_
#define REDS_SUPPORT_H_

#include "reds_kernels.h"

#if defined(__ARM_FEATURE_DSP) && !defined(REDS_PLAIN_C)
#define REDS_DSP 1
#include "reds_dsp.h"
#if defined(__ARM_FEATURE_MVE)
#define REDS_MVE 1 /* vector bodies, where there are some, come before those in DSP assembly */
#endif
#endif

/* ARMv6-M and ARMv8-M Baseline: eight registers, no product of 64 bits, no unaligned words. */
#if __ARM_ARCH_ISA_THUMB == 1
#define REDS_THUMB_1 1
#endif

/* Keeps a hot loop's registers free of its caller's variables. */
#define REDS_NOINLINE __attribute__((noinline))
/* Functions that are all assembly; their arguments are not used by a statement. */
#define REDS_NAKED __attribute__((naked, noinline, unused))
#define REDS_UNUSED __attribute__((unused))

/* Of what few networks need: compiled for size. */
#define REDS_COLD __attribute__((noinline, cold))

/* Everything that turns accumulators into int8 outputs. */
typedef struct {
  const int32_t *bias;
  const int32_t *multiplier;
  const int8_t *shift;
  int32_t offset;
  reds_activation activation;
  const int8_t *lookup; /* of the value that `activation` lets through; null: none */
} reds_outputs;

/* The arguments of a convolution. */
typedef struct {
  const reds_context *context;
  const reds_conv_params *params;
  const reds_requantisation *requantisation;
  const reds_dims *input_dims;
  const int8_t *input;
  const reds_dims *filter_dims;
  const int8_t *filter;
  const int32_t *bias;
  const reds_dims *output_dims;
  int8_t *output;
} reds_call;

/* Sums of one channel at two positions. */
typedef struct {
  int32_t first;
  int32_t second;
} reds_sums;

/* The taps first .. last - 1 of a window that lie inside the input along one axis. */
typedef struct {
  int32_t first;
  int32_t last;
} reds_taps;

static inline int reds_fits_int32(int64_t value) { return value <= INT32_MAX; }

/* Whether the shape has positions and channels, and a tensor of it can be addressed. */
int reds_dims_valid(const reds_dims *dims);

/* Whether every coordinate of a sliding window along one axis fits an int32. */
int reds_axis_valid(int32_t outputs, int32_t kernel, int32_t stride, int32_t padding,
                    int32_t dilation);

/* Whether all pointers but the context are there, every tensor can be addressed, and the windows
 * are valid. */
int reds_call_valid(const reds_call *call);

/* Whether `context` has the scratch that a kernel needs; 0 bytes stand for too many. */
int reds_scratch_valid(const reds_context *context, size_t needed);

void reds_make_outputs(const reds_call *call, reds_outputs *outputs);

static inline int reds_same_dims(const reds_dims *a, const reds_dims *b) {
  return a->height == b->height && a->width == b->width && a->channels == b->channels;
}

/* Whether each output position reads the input position of the same place, and no other. */
static inline int reds_is_pointwise(const reds_call *call) {
  const reds_dims *filter = call->filter_dims;
  const reds_extent stride = call->params->stride, padding = call->params->padding;
  return filter->height == 1 && filter->width == 1 && stride.height == 1 && stride.width == 1 &&
         padding.height == 0 && padding.width == 0;
}

static inline int reds_offset_valid(int32_t input_offset) {
  return input_offset >= -127 && input_offset <= 128;
}

static inline int reds_requantisation_valid(const reds_requantisation *requantisation) {
  return requantisation != NULL && requantisation->multiplier != NULL &&
         requantisation->shift != NULL;
}

/* Whether `factor` is normal, and at most 2^largest_shift. */
static inline int reds_factor_valid(const reds_factor *factor, int32_t largest_shift) {
  return factor->multiplier >= 1 << 30 && factor->shift >= -31 && factor->shift <= largest_shift;
}

/* `bytes` of scratch as a size; 0, which reds_scratch_valid refuses, when they are too many. */
static inline size_t reds_scratch_size(int64_t bytes) {
  return reds_fits_int32(bytes) ? (size_t)bytes : 0;
}

/* Packed weights are read as words. */
static inline int reds_packed_valid(const int8_t *filter) {
  return filter != NULL && ((uintptr_t)filter & 3) == 0;
}

static inline reds_taps reds_clip(int32_t origin, int32_t kernel, int32_t dilation, int32_t size) {
  reds_taps taps = {0, kernel};
  while (taps.first < kernel && origin + taps.first * dilation < 0) ++taps.first;
  while (taps.last > taps.first && origin + (taps.last - 1) * dilation >= size) --taps.last;
  return taps;
}

/* reds_high_multiply by four products of halves; `value` and `multiplier` not both INT32_MIN. */
int32_t reds_high_multiply_halves(int32_t value, int32_t multiplier);

/* (value * multiplier) / 2^31, rounded half up (TFLM's SaturatingRoundingDoublingHighMul; a
 * multiplier below 2^31 cannot saturate). */
static inline int32_t reds_high_multiply(int32_t value, int32_t multiplier) {
#if defined(REDS_THUMB_1)
  return reds_high_multiply_halves(value, multiplier);
#else
  return (int32_t)(((int64_t)value * multiplier + (1 << 30)) >> 31);
#endif
}

/* value / 2^exponent (0 .. 31), rounded half away from zero (TFLM's RoundingDivideByPOT). */
static inline int32_t reds_rounding_shift(int32_t value, int32_t exponent) {
  const int32_t mask = (int32_t)((UINT32_C(1) << exponent) - 1);
  const int32_t threshold = (mask >> 1) + (value < 0);
  return (value >> exponent) + ((value & mask) > threshold);
}

#if !defined(REDS_DSP)

/* As in reds_dsp.h. */
static inline int32_t reds_rounding_high_multiply(int32_t value, int32_t multiplier) {
  return reds_high_multiply(value, multiplier);
}

static inline int32_t reds_add_shifted(int32_t base, int32_t value, int32_t exponent) {
  return base + (((value >> (exponent - 1)) + 1) >> 1);
}

static inline int32_t reds_saturate(int32_t value) {
  if (value < INT8_MIN) return INT8_MIN;
  return value > INT8_MAX ? INT8_MAX : value;
}

#endif

/* TFLM's MultiplyByQuantizedMultiplier, double rounding. */
static inline int32_t reds_requantise(int32_t value, int32_t multiplier, int32_t shift) {
  const int32_t left = shift > 0 ? shift : 0;
  value = reds_high_multiply((int32_t)((uint32_t)value << left), multiplier);
  return reds_rounding_shift(value, left - shift);
}

/* reds_requantise for a multiplier in [2^30, 2^31) and a shift to the right by `exponent`
 * (1 .. 31), plus `base`. */
static inline int32_t reds_scale_right(int32_t base, int32_t value, int32_t multiplier,
                                       int32_t exponent) {
  value = reds_rounding_high_multiply(value, multiplier);
  /* One less for negatives turns half up into half away from zero. */
  return reds_add_shifted(base, value + (value >> 31), exponent);
}

/* reds_requantise for a multiplier in [2^30, 2^31). */
static inline int32_t reds_requantise_channel(int32_t value, int32_t multiplier, int32_t shift) {
  if (shift < 0) return reds_scale_right(0, value, multiplier, -shift);
  return reds_rounding_high_multiply((int32_t)((uint32_t)value << shift), multiplier);
}

static inline int8_t reds_clamp(int32_t value, reds_activation activation) {
  if (value < activation.min) value = activation.min;
  if (value > activation.max) value = activation.max;
  return (int8_t)value;
}

/* The int8 output from a requantised sum: what the op list computes, value by value. */
static inline int8_t reds_activate(const reds_outputs *outputs, int32_t scaled) {
  const int8_t value = reds_clamp(scaled + outputs->offset, outputs->activation);
  return outputs->lookup == NULL ? value : outputs->lookup[value + 128];
}

/* The int8 output of `channel` from its sum of products, where it counts. */
static inline int8_t reds_output_inline(const reds_outputs *outputs, int32_t channel, int32_t sum) {
  const int32_t scaled = reds_requantise_channel(
      sum + outputs->bias[channel], outputs->multiplier[channel], outputs->shift[channel]);
  return reds_activate(outputs, scaled);
}

/* As above; one copy for all kernels on cores where assembly makes most outputs. */
#if defined(REDS_DSP)
int8_t reds_output(const reds_outputs *outputs, int32_t channel, int32_t sum);
#else
static inline int8_t reds_output(const reds_outputs *outputs, int32_t channel, int32_t sum) {
  return reds_output_inline(outputs, channel, sum);
}
#endif

/* The outputs of `channel` at two positions: its constants are read once. */
static inline void reds_output_pair(const reds_outputs *outputs, int32_t channel,
                                    reds_sums sums, int8_t *output0, int8_t *output1) {
  const int32_t bias = outputs->bias[channel];
  const int32_t multiplier = outputs->multiplier[channel];
  const int32_t shift = outputs->shift[channel];
  const int32_t scaled0 = reds_requantise_channel(sums.first + bias, multiplier, shift);
  const int32_t scaled1 = reds_requantise_channel(sums.second + bias, multiplier, shift);
  output0[channel] = reds_activate(outputs, scaled0);
  output1[channel] = reds_activate(outputs, scaled1);
}

/* Whether one of the shifts of all `channels` is to the left. */
static inline int reds_shifts_left(const reds_outputs *outputs, int32_t channels) {
  int32_t most = 0;
  for (int32_t i = 0; i < channels; ++i) {
    if (outputs->shift[i] > most) most = outputs->shift[i];
  }
  return most > 0;
}

static inline int32_t reds_dot(const int8_t *input, const int8_t *weights, int32_t length,
                               int32_t input_offset) {
  int32_t sum = 0;
  for (int32_t i = 0; i < length; ++i) sum += (input[i] + input_offset) * weights[i];
  return sum;
}

#endif /* REDS_SUPPORT_H_ */
