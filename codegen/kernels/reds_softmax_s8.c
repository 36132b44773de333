#include "reds_support.h"

/* Exponentials are Q0.31; their sum is kept in Q12.19, so that 4095 of them fit an int32. */
#define SUM_INTEGER_BITS 12
#define MAX_CHANNELS 4095

/* 1 / x for x = half_denominator in [0.5, 1) as Q0.31; the result, in (1, 2], is halved to Q0.31.
 * Three Newton-Raphson steps in Q2.29 from 48/17 - 32/17 x, as gemmlowp does. */
static int32_t half_reciprocal(int32_t half_denominator) {
  int32_t x = 1515870810 + reds_high_multiply(half_denominator, -1010580540);
  for (int step = 0; step < 3; ++step) {
    const int32_t error = (1 << 29) - reds_high_multiply(half_denominator, x);
    /* |error| <= 1/17 from the start: the product, Q4.27, comes back to Q2.29 without overflow. */
    x += reds_high_multiply(x, error) * 4;
  }
  return x >= 1 << 30 ? INT32_MAX : x * 2;
}

static int32_t maximum(const int8_t *values, int32_t count) {
  int32_t result = INT8_MIN;
  for (int32_t i = 0; i < count; ++i) {
    if (values[i] > result) result = values[i];
  }
  return result;
}

static void softmax_row(const int32_t *exponentials, const int8_t *input, int32_t channels,
                        int8_t *output) {
  const int32_t highest = maximum(input, channels);
  uint32_t sum = 0;
  for (int32_t i = 0; i < channels; ++i) {
    sum += (uint32_t)reds_rounding_shift(exponentials[highest - input[i]], SUM_INTEGER_BITS);
  }
  /* Scale the sum to [1, 2) and remember by how much; 23 = 31 - 8 bits of output. */
  int32_t exponent = SUM_INTEGER_BITS + 23;
  for (; sum < UINT32_C(1) << 31; sum <<= 1) --exponent;
  const int32_t reciprocal = half_reciprocal((int32_t)(sum >> 1));
  const reds_activation all = {INT8_MIN, INT8_MAX};
  for (int32_t i = 0; i < channels; ++i) {
    const int32_t share = reds_high_multiply(reciprocal, exponentials[highest - input[i]]);
    /* Beyond 31 even the largest share rounds to zero. */
    const int32_t probability = exponent > 31 ? 0 : reds_rounding_shift(share, exponent);
    output[i] = reds_clamp(probability - 128, all);
  }
}

reds_status reds_softmax_s8(const int32_t *exponentials, const reds_dims *input_dims,
                            const int8_t *input, const reds_dims *output_dims, int8_t *output) {
  if (exponentials == NULL || input == NULL || output == NULL || !reds_dims_valid(input_dims) ||
      !reds_dims_valid(output_dims) || !reds_same_dims(input_dims, output_dims) ||
      input_dims->channels > MAX_CHANNELS || exponentials[0] != INT32_MAX) { /* exp(0) = 1 */
    return REDS_ERROR_ARGUMENT;
  }
  const int32_t positions = input_dims->height * input_dims->width;
  for (int32_t position = 0; position < positions; ++position) {
    softmax_row(exponentials, input, input_dims->channels, output);
    input += input_dims->channel_stride;
    output += output_dims->channel_stride;
  }
  return REDS_OK;
}
