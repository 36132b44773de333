#include "reds_expand.h"
#include "reds_vector.h"

static int is_vector(const reds_dims *dims) {
  return dims != NULL && dims->height == 1 && dims->width == 1 && dims->channels > 0 &&
         dims->channels <= dims->channel_stride;
}

/* The inputs as int16, filled up to a group of four. */
static size_t scratch_size(const reds_dims *filter) {
  return ((size_t)filter->channels + 3) / 4 * 8;
}

size_t reds_fully_connected_s8_get_buffer_size(const reds_dims *filter_dims) {
  return is_vector(filter_dims) ? scratch_size(filter_dims) : 0;
}

static int scratch_valid(const reds_context *context, const reds_dims *filter) {
  return context != NULL && context->buffer != NULL && context->size >= scratch_size(filter) &&
         ((uintptr_t)context->buffer & 3) == 0;
}

static int arguments_valid(const reds_context *context, const reds_fc_params *params,
                           const reds_dims *input, const reds_dims *filter,
                           const reds_dims *output) {
  return params != NULL && reds_offset_valid(params->input_offset) && is_vector(input) &&
         is_vector(output) && filter != NULL && filter->channels == input->channels &&
         is_vector(filter) &&
         reds_fits_int32((int64_t)filter->channel_stride * output->channels) &&
         scratch_valid(context, filter);
}

#if !defined(REDS_MVE)

/* The inputs as int16 without the zero point; two groups of four in a turn. */
static REDS_NOINLINE void reds_expand_vector(const int8_t *input, int32_t length, int32_t offset,
                                             uint32_t *inputs) {
  const uint32_t offsets = reds_pack(offset, offset);
  int32_t left = length;
  for (; left >= 8; left -= 8, input += 8, inputs += 4) {
    const uint32_t first = reds_load_word(input), second = reds_load_word(input + 4);
    inputs[0] = reds_add_even_bytes(offsets, first);
    inputs[1] = reds_add_odd_bytes(offsets, first);
    inputs[2] = reds_add_even_bytes(offsets, second);
    inputs[3] = reds_add_odd_bytes(offsets, second);
  }
  if (left >= 4) {
    reds_expand_group(input, offset, 1, inputs);
    input += 4, inputs += 2, left -= 4;
  }
  if (left == 0) return;
  inputs[1] = 0; /* the group is only half filled */
  reds_expand_rest(input, left, offset, 1, inputs);
}

static inline void reds_multiply_vector(const reds_vector *vector, const reds_outputs *outputs,
                                        int32_t channels, int8_t *output) {
  int32_t done = 0;
#if defined(REDS_DSP)
  if (vector->groups <= REDS_RUN_GROUPS && outputs->activation.min == INT8_MIN &&
      outputs->activation.max == INT8_MAX) {
    done = reds_multiply_quads(vector, outputs, channels, output);
    for (int32_t i = 0; i < done && outputs->lookup != NULL; ++i) {
      output[i] = outputs->lookup[output[i] + 128];
    }
    if (done == channels) return;
  }
#endif
  const reds_vector rest = *vector; /* copies: those of the quads stay in registers */
  const reds_outputs rest_outputs = *outputs;
  reds_multiply_rest(&rest, &rest_outputs, done, channels, output);
}

#endif

reds_status reds_fully_connected_s8(const reds_context *context, const reds_fc_params *params,
                                    const reds_requantisation *requantisation,
                                    const reds_dims *input_dims, const int8_t *input,
                                    const reds_dims *filter_dims, const int8_t *filter,
                                    const int32_t *bias, const reds_dims *output_dims,
                                    int8_t *output) {
  if (input == NULL || !reds_packed_valid(filter) || bias == NULL || output == NULL ||
      !reds_requantisation_valid(requantisation) ||
      !arguments_valid(context, params, input_dims, filter_dims, output_dims)) {
    return REDS_ERROR_ARGUMENT;
  }
  const int32_t length = filter_dims->channels;
  uint32_t *inputs = context->buffer;
  const reds_outputs outputs = {bias, requantisation->multiplier, requantisation->shift,
                                params->output_offset, params->activation, params->lookup};
  const reds_vector vector = {inputs, reds_groups(length),
                              reds_groups(filter_dims->channel_stride) * REDS_GROUP_BYTES,
                              params->input_offset, filter};
  reds_expand_vector(input, length, params->input_offset, inputs);
  reds_multiply_vector(&vector, &outputs, output_dims->channels, output);
  return REDS_OK;
}
