#include "reds_patches.h"

/* The inputs as int16, filled up to a group of four. */
size_t reds_fully_connected_s8_get_buffer_size(const reds_dims *filter_dims) {
  if (!reds_dims_valid(filter_dims)) return 0;
  return reds_scratch_size(((int64_t)filter_dims->channels + 3) / 4 * 8);
}

static int is_vector(const reds_dims *dims) {
  return reds_dims_valid(dims) && dims->height == 1 && dims->width == 1;
}

static int arguments_valid(const reds_context *context, const reds_fc_params *params,
                           const reds_dims *input, const reds_dims *filter,
                           const reds_dims *output) {
  return params != NULL && reds_offset_valid(params->input_offset) &&
         is_vector(input) && is_vector(output) && is_vector(filter) &&
         reds_filter_valid(filter, output->channels) && filter->channels == input->channels &&
         reds_scratch_valid(context, reds_fully_connected_s8_get_buffer_size(filter));
}

#if defined(REDS_DSP)

/* Sums of four weight rows: a struct of scalars stays in registers under every compiler. */
typedef struct {
  int32_t row0, row1, row2, row3;
} row_sums;

/* Four inputs, as two pairs, times the four weights of one word. */
static inline int32_t multiply_word(uint32_t weights, uint32_t even, uint32_t odd, int32_t sum) {
  sum = reds_multiply_pairs(reds_even_bytes(weights), even, sum);
  return reds_multiply_pairs(reds_odd_bytes(weights), odd, sum);
}

/* The result is stored once at the end: as a return value, clang would keep it in memory
 * throughout. */
static REDS_NOINLINE void multiply_rows(const int8_t *const *rows, int32_t length,
                                        const uint32_t *inputs, row_sums *result) {
  const int8_t *row0 = rows[0], *row1 = rows[1], *row2 = rows[2], *row3 = rows[3];
  row_sums sums = {0, 0, 0, 0};
  for (const int8_t *end = row0 + (length & ~3); row0 != end; inputs += 2) {
    const uint32_t even = inputs[0], odd = inputs[1];
    sums.row0 = multiply_word(reds_load_word(row0), even, odd, sums.row0);
    sums.row1 = multiply_word(reds_load_word(row1), even, odd, sums.row1);
    sums.row2 = multiply_word(reds_load_word(row2), even, odd, sums.row2);
    sums.row3 = multiply_word(reds_load_word(row3), even, odd, sums.row3);
    row0 += 4, row1 += 4, row2 += 4, row3 += 4;
  }
  if ((length & 3) != 0) {
    const uint32_t even = inputs[0], odd = inputs[1];
    sums.row0 = multiply_word(reds_load_last(rows[0], length), even, odd, sums.row0);
    sums.row1 = multiply_word(reds_load_last(rows[1], length), even, odd, sums.row1);
    sums.row2 = multiply_word(reds_load_last(rows[2], length), even, odd, sums.row2);
    sums.row3 = multiply_word(reds_load_last(rows[3], length), even, odd, sums.row3);
  }
  *result = sums;
}

static void multiply(const reds_fc_params *params, const reds_outputs *outputs,
                     const int8_t *input, const reds_dims *filter_dims, const int8_t *filter,
                     int32_t channels, int8_t *output, uint32_t *inputs) {
  reds_expand(input, filter_dims->channels, params->input_offset, 2, inputs);
  for (int32_t channel = 0; channel < channels; channel += 4) {
    const int32_t last = channels - channel < 4 ? channels - channel - 1 : 3;
    const int8_t *rows[4];
    for (int32_t i = 0; i < 4; ++i) {
      /* Missing rows repeat the last one; their sums are dropped. */
      rows[i] = filter + (channel + (i < last ? i : last)) * filter_dims->channel_stride;
    }
    row_sums sums;
    multiply_rows(rows, filter_dims->channels, inputs, &sums);
    output[channel] = reds_output(outputs, channel, sums.row0);
    if (last >= 1) output[channel + 1] = reds_output(outputs, channel + 1, sums.row1);
    if (last >= 2) output[channel + 2] = reds_output(outputs, channel + 2, sums.row2);
    if (last >= 3) output[channel + 3] = reds_output(outputs, channel + 3, sums.row3);
  }
}

#else

static void multiply(const reds_fc_params *params, const reds_outputs *outputs,
                     const int8_t *input, const reds_dims *filter_dims, const int8_t *filter,
                     int32_t channels, int8_t *output, uint32_t *inputs) {
  (void)inputs;
  for (int32_t channel = 0; channel < channels; ++channel, filter += filter_dims->channel_stride) {
    const int32_t sum = reds_dot(input, filter, filter_dims->channels, params->input_offset);
    output[channel] = reds_output(outputs, channel, sum);
  }
}

#endif

reds_status reds_fully_connected_s8(const reds_context *context, const reds_fc_params *params,
                                    const reds_requantisation *requantisation,
                                    const reds_dims *input_dims, const int8_t *input,
                                    const reds_dims *filter_dims, const int8_t *filter,
                                    const int32_t *bias, const reds_dims *output_dims,
                                    int8_t *output) {
  if (input == NULL || filter == NULL || bias == NULL || output == NULL ||
      !reds_requantisation_valid(requantisation) ||
      !arguments_valid(context, params, input_dims, filter_dims, output_dims)) {
    return REDS_ERROR_ARGUMENT;
  }
  const reds_outputs outputs = {bias, requantisation->multiplier, requantisation->shift,
                                params->output_offset, params->activation,
                                params->lookup};
  multiply(params, &outputs, input, filter_dims, filter, output_dims->channels, output,
           context->buffer);
  return REDS_OK;
}
