#include "reds_ops.h"

static int32_t channels_of(const reds_tensor *tensor, int32_t subnet) {
  return tensor->channels == NULL ? tensor->channel_stride : tensor->channels[subnet];
}

static void get_dims(const reds_state *state, const reds_tensor *tensor, reds_dims *dims) {
  dims->height = tensor->height;
  dims->width = tensor->width;
  dims->channels = channels_of(tensor, state->active);
  dims->channel_stride = tensor->channel_stride;
}

static int8_t *target_of(const reds_state *state, const reds_tensor *tensor) {
  return tensor->place == REDS_OUTPUT ? state->output : state->arena + tensor->place;
}

static const int8_t *source_of(const reds_state *state, const reds_tensor *tensor) {
  return tensor->place == REDS_INPUT ? state->input : target_of(state, tensor);
}

/* The arguments of a kernel with one input. */
typedef struct {
  reds_dims input_dims;
  reds_dims output_dims;
  const int8_t *input;
  int8_t *output;
} unary_call;

static __attribute__((noinline, cold)) void prepare_unary(const reds_state *state,
                                                    const reds_tensor *input,
                                                    const reds_tensor *output, unary_call *call) {
  get_dims(state, input, &call->input_dims);
  get_dims(state, output, &call->output_dims);
  call->input = source_of(state, input);
  call->output = target_of(state, output);
}

/* The arguments of a layer with weights. */
typedef struct {
  unary_call tensors;
  reds_context context;
  reds_requantisation requantisation;
  const int32_t *bias;
  reds_dims filter_dims;
} linear_call;

static __attribute__((noinline, cold)) void prepare_linear(const reds_state *state,
                                                     const reds_linear *layer, linear_call *call) {
  prepare_unary(state, layer->input, layer->output, &call->tensors);
  call->context = (reds_context){state->arena + layer->scratch, (size_t)layer->scratch_bytes};
  call->filter_dims = (reds_dims){layer->window.height, layer->window.width,
                                  call->tensors.input_dims.channels, layer->filter_stride};
  int32_t first = 0; /* outputs of the smaller subnets, whose tables come before */
  for (int32_t k = 0; k < state->active; ++k) first += channels_of(layer->output, k);
  const int32_t first_scale = layer->shares_requantisation ? 0 : first;
  call->requantisation.multiplier = layer->multiplier + first_scale;
  call->requantisation.shift = layer->shift + first_scale;
  call->bias = layer->bias + (layer->shares_bias ? 0 : first);
}

static __attribute__((noinline, cold)) reds_status convolve(const reds_convolution_op *op,
                                                      const linear_call *call) {
  const unary_call *tensors = &call->tensors;
  return op->kernel(&call->context, &op->params, &call->requantisation, &tensors->input_dims,
                    tensors->input, &call->filter_dims, op->layer.weights, call->bias,
                    &tensors->output_dims, tensors->output);
}

reds_status reds_run_convolution(const reds_state *state, const void *data) {
  const reds_convolution_op *op = data;
  linear_call call;
  prepare_linear(state, &op->layer, &call);
  return convolve(op, &call);
}

reds_status reds_run_depthwise(const reds_state *state, const void *data) {
  const reds_convolution_op *op = data;
  linear_call call;
  prepare_linear(state, &op->layer, &call);
  call.filter_dims.channels = call.tensors.output_dims.channels;
  return convolve(op, &call);
}

reds_status reds_run_fully_connected(const reds_state *state, const void *data) {
  const reds_fully_connected_op *op = data;
  linear_call call;
  prepare_linear(state, &op->layer, &call);
  const unary_call *tensors = &call.tensors;
  return op->kernel(&call.context, &op->params, &call.requantisation, &tensors->input_dims,
                    tensors->input, &call.filter_dims, op->layer.weights, call.bias,
                    &tensors->output_dims, tensors->output);
}

reds_status reds_run_pool(const reds_state *state, const void *data) {
  const reds_pool_op *op = data;
  const reds_dims filter_dims = {op->window.height, op->window.width, 0, 0};
  unary_call call;
  prepare_unary(state, op->input, op->output, &call);
  return op->kernel(&op->params, &call.input_dims, call.input, &filter_dims, &call.output_dims,
                    call.output);
}

reds_status reds_run_mean(const reds_state *state, const void *data) {
  const reds_mean_op *op = data;
  unary_call call;
  prepare_unary(state, op->input, op->output, &call);
  return op->kernel(&op->params, &call.input_dims, call.input, &call.output_dims, call.output);
}

reds_status reds_run_pad(const reds_state *state, const void *data) {
  const reds_pad_op *op = data;
  unary_call call;
  prepare_unary(state, op->input, op->output, &call);
  return op->kernel(&op->params, &call.input_dims, call.input, &call.output_dims, call.output);
}

reds_status reds_run_lookup(const reds_state *state, const void *data) {
  const reds_lookup_op *op = data;
  unary_call call;
  prepare_unary(state, op->input, op->output, &call);
  return op->kernel(op->table, &call.input_dims, call.input, &call.output_dims, call.output);
}

reds_status reds_run_softmax(const reds_state *state, const void *data) {
  const reds_softmax_op *op = data;
  unary_call call;
  prepare_unary(state, op->input, op->output, &call);
  return op->kernel(op->table, &call.input_dims, call.input, &call.output_dims, call.output);
}

reds_status reds_run_flatten(const reds_state *state, const void *data) {
  const reds_flatten_op *op = data;
  unary_call call;
  prepare_unary(state, op->input, op->output, &call);
  return op->kernel(&call.input_dims, call.input, &call.output_dims, call.output);
}

reds_status reds_run_add(const reds_state *state, const void *data) {
  const reds_add_op *op = data;
  reds_dims input2_dims;
  unary_call call;
  prepare_unary(state, op->input1, op->output, &call);
  get_dims(state, op->input2, &input2_dims);
  return op->kernel(&op->params, &call.input_dims, call.input, &input2_dims,
                    source_of(state, op->input2), &call.output_dims, call.output);
}

reds_status reds_run_prelu(const reds_state *state, const void *data) {
  const reds_prelu_op *op = data;
  unary_call call;
  prepare_unary(state, op->input, op->output, &call);
  const reds_dims slope_dims = {op->slopes.height, op->slopes.width, call.input_dims.channels,
                                call.input_dims.channel_stride};
  return op->kernel(&op->params, &call.input_dims, call.input, &slope_dims, op->weights,
                    &call.output_dims, call.output);
}

reds_status reds_run_concatenate(const reds_state *state, const void *data, reds_dims *input_dims,
                                 const int8_t **inputs) {
  const reds_concatenate_op *op = data;
  const reds_concatenate_params params = {op->runs, op->run_counts[state->active],
                                          op->input_count};
  reds_dims output_dims;
  get_dims(state, op->output, &output_dims);
  for (int32_t i = 0; i < op->input_count; ++i) {
    get_dims(state, op->inputs[i], &input_dims[i]);
    inputs[i] = source_of(state, op->inputs[i]);
  }
  return op->kernel(&params, input_dims, inputs, &output_dims, target_of(state, op->output));
}
