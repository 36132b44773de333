#include "reds_support.h"

static int inputs_valid(int32_t count, const reds_dims *inputs, const int8_t *const *data,
                        const reds_dims *output) {
  for (int32_t i = 0; i < count; ++i) {
    if (data[i] == NULL || !reds_dims_valid(&inputs[i]) || inputs[i].height != output->height ||
        inputs[i].width != output->width) {
      return 0;
    }
  }
  return count > 0;
}

static int run_valid(const reds_run *run, int32_t input_count, const reds_dims *inputs) {
  return run->input >= 0 && run->input < input_count && run->first >= 0 && run->channels > 0 &&
         run->channels <= inputs[run->input].channels &&
         run->first <= inputs[run->input].channels - run->channels;
}

/* Whether the runs lie inside their inputs and fill the output. */
static int runs_valid(const reds_concatenate_params *params, const reds_dims *inputs,
                      int32_t output_channels) {
  int32_t room = output_channels;
  for (int32_t i = 0; i < params->run_count; ++i) {
    const reds_run *run = &params->runs[i];
    if (!run_valid(run, params->input_count, inputs) || run->channels > room) return 0;
    room -= run->channels;
  }
  return room == 0;
}

static void copy_run(const reds_run *run, const reds_dims *input_dims, const int8_t *input,
                     const reds_dims *output_dims, int8_t *output) {
  const int32_t positions = output_dims->height * output_dims->width;
  input += run->first;
  for (int32_t position = 0; position < positions; ++position) {
    __builtin_memcpy(output, input, (size_t)run->channels);
    input += input_dims->channel_stride;
    output += output_dims->channel_stride;
  }
}

reds_status reds_concatenate_s8(const reds_concatenate_params *params, const reds_dims *input_dims,
                                const int8_t *const *inputs, const reds_dims *output_dims,
                                int8_t *output) {
  if (params == NULL || params->runs == NULL || input_dims == NULL || inputs == NULL ||
      output == NULL || !reds_dims_valid(output_dims) ||
      !inputs_valid(params->input_count, input_dims, inputs, output_dims) ||
      !runs_valid(params, input_dims, output_dims->channels)) {
    return REDS_ERROR_ARGUMENT;
  }
  for (int32_t i = 0; i < params->run_count; ++i) {
    const reds_run *run = &params->runs[i];
    copy_run(run, &input_dims[run->input], inputs[run->input], output_dims, output);
    output += run->channels;
  }
  return REDS_OK;
}
