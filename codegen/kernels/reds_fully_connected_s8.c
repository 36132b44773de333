#include "reds_expand.h"
#include "reds_vector.h"

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

#if !defined(REDS_MVE)

/* Both pairs of rows times the whole vector, run by run, added to `sums`. */
static void sum_rows(const reds_vector_rows *rows, const uint32_t *inputs, const int8_t *pair0,
                     const int8_t *pair1, reds_vector_sums *sums) {
  for (int32_t done = 0; done < rows->groups; done += REDS_RUN_GROUPS) {
    const int32_t left = rows->groups - done;
    const int32_t groups = left < REDS_RUN_GROUPS ? left : REDS_RUN_GROUPS;
    const int32_t start = done * REDS_GROUP_BYTES;
    reds_sum_vector(inputs + 2 * done, pair0 + start, pair1 + start, groups, sums);
  }
}

/* Four channels at a time; of the last four, those that do not exist are dropped. */
static void reds_multiply_vector(const reds_vector_rows *rows, const reds_outputs *shared_outputs,
                                 const int8_t *filter, int32_t channels, const uint32_t *inputs,
                                 int8_t *output) {
  const reds_outputs outputs = *shared_outputs; /* a local copy: no int8 store can alias it */
  int32_t channel = 0;
#if defined(REDS_DSP)
  if (rows->groups <= REDS_RUN_GROUPS && outputs.lookup == NULL &&
      reds_outputs_simple(&outputs, channels)) {
    channel = reds_multiply_quads(rows, &outputs, filter, channels, inputs, output);
  }
#endif
  for (; channel < channels; channel += 4) {
    const int8_t *pair0 = filter + channel / 2 * rows->pair_bytes;
    const int8_t *pair1 = channel + 2 < channels ? pair0 + rows->pair_bytes : pair0;
    reds_vector_sums sums = {{0, 0, 0, 0}};
    sum_rows(rows, inputs, pair0, pair1, &sums);
    for (int32_t i = 0; i < 4 && channel + i < channels; ++i) {
      output[channel + i] = reds_output(&outputs, channel + i, sums.row[i]);
    }
  }
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
  const reds_outputs outputs = {bias, requantisation->multiplier, requantisation->shift,
                                params->output_offset, params->activation, params->lookup};
  uint32_t *inputs = context->buffer;
  const int32_t length = filter_dims->channels;
  const reds_vector_rows rows = {reds_groups(length),
                                 reds_groups(filter_dims->channel_stride) * REDS_GROUP_BYTES,
                                 params->input_offset};
  reds_expand_vector(input, length, params->input_offset, inputs);
  reds_multiply_vector(&rows, &outputs, filter, output_dims->channels, inputs, output);
  return REDS_OK;
}
