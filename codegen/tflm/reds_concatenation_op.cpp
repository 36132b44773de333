/* REDS_CONCATENATION: channels of several tensors side by side, those of the smallest subnet first.
 *
 * inputs   activations int8, full shape, of the same scale and zero point
 * output   activations int8, full shape; the inactive channels hold the zero point
 *
 * The output's channels go by subnet, then by input, so that a narrower subnet is a prefix. A cut
 * input that was flattened is brought into channel-major order first. */
#include "reds_op_support.h"

namespace tflite {
namespace micro {
namespace reds {

namespace {

struct ConcatenationData {
  Options options;
  reds_dims* inputs;           /* [input_count], of the full network; as the kernel takes them */
  reds_dims* active;           /* [input_count], scratch of one invocation */
  const int8_t** input_data;   /* [input_count], likewise */
  int* flattened;              /* [input_count], indices for GetScratchBuffer, or kNoScratch */
  reds_run* runs;              /* at most input_count * subnet_count, in order of the subnets */
  int32_t* run_counts;         /* [subnet_count] */
  reds_dims output;
  int32_t zero_point;
};

bool AllocateArrays(MicroContext* micro, ConcatenationData* data) {
  const int32_t inputs = data->options.input_count;
  const int32_t subnets = data->options.subnet_count;
  data->inputs = Allocate<reds_dims>(micro, inputs);
  data->active = Allocate<reds_dims>(micro, inputs);
  data->input_data = Allocate<const int8_t*>(micro, inputs);
  data->flattened = Allocate<int>(micro, inputs);
  data->runs = Allocate<reds_run>(micro, inputs * subnets);
  data->run_counts = Allocate<int32_t>(micro, subnets);
  return data->inputs != nullptr && data->active != nullptr && data->input_data != nullptr &&
         data->flattened != nullptr && data->runs != nullptr && data->run_counts != nullptr;
}

/* Null makes Prepare fail. */
void* Init(Context* context, const char* buffer, size_t length) {
  MicroContext* micro = GetMicroContext(context);
  auto* data = Allocate<ConcatenationData>(micro, 1);
  if (data == nullptr) return nullptr;
  const auto* bytes = reinterpret_cast<const uint8_t*>(buffer);
  const char* wrong = InitOptions(micro, bytes, length, &data->options);
  if (wrong == nullptr && !AllocateArrays(micro, data)) wrong = kArenaTooSmall;
  if (wrong == nullptr) return data;
  Fail(micro, wrong);
  return nullptr;
}

/* Features of an input that `subnet` keeps. */
int32_t ActiveFeatures(const Options& options, int32_t input, int32_t subnet) {
  return options.inputs[input * options.subnet_count + subnet] * options.positions[input];
}

bool IsCut(const ConcatenationData& data, int32_t input) {
  return ActiveFeatures(data.options, input, 0) < data.inputs[input].channel_stride;
}

/* False if a width leaves its tensor, or widths shrink from one subnet to the next. */
bool MakeRuns(ConcatenationData* data) {
  const Options& options = data->options;
  int32_t count = 0;
  for (int32_t subnet = 0; subnet < options.subnet_count; ++subnet) {
    for (int32_t input = 0; input < options.input_count; ++input) {
      const int32_t channels = data->inputs[input].channel_stride / options.positions[input];
      if (options.inputs[input * options.subnet_count + subnet] > channels) return false;
      const int32_t first = subnet == 0 ? 0 : ActiveFeatures(options, input, subnet - 1);
      const int32_t end = ActiveFeatures(options, input, subnet);
      if (end < first) return false;
      if (end > first) data->runs[count++] = {input, first, end - first};
    }
    data->run_counts[subnet] = count;
    if (options.outputs[subnet] > data->output.channels) return false;
  }
  return true;
}

const char* ReadDims(const Context* context, const Node* node, ConcatenationData* data) {
  const int32_t count = data->options.input_count;
  if (!HasInputs(context, node, data->options, count) ||
      !ReadActivationDims(GetEvalOutput(context, node, 0), 1, &data->output)) {
    return "shapes of inputs and output do not fit";
  }
  for (int32_t i = 0; i < count; ++i) {
    const TfLiteEvalTensor* input = GetEvalInput(context, node, i);
    if (!ReadActivationDims(input, 1, &data->inputs[i]) ||
        data->inputs[i].channels % data->options.positions[i] != 0) {
      return "shapes of inputs and output do not fit";
    }
  }
  return MakeRuns(data) ? nullptr : "a subnet is wider than the tensors";
}

TfLiteStatus Prepare(Context* context, Node* node) {
  MicroContext* micro = GetMicroContext(context);
  auto* data = static_cast<ConcatenationData*>(node->user_data);
  if (data == nullptr) return kTfLiteError; /* Init has told why. */
  const char* wrong = ReadDims(context, node, data);
  if (wrong != nullptr) return Fail(micro, wrong);
  for (int32_t i = 0; i < data->options.input_count; ++i) {
    const bool is_reordered = data->options.positions[i] > 1 && IsCut(*data, i);
    const size_t bytes = is_reordered ? static_cast<size_t>(data->inputs[i].channel_stride) : 0;
    if (!RequestScratch(micro, bytes, &data->flattened[i])) return Fail(micro, kArenaTooSmall);
  }
  if (!ReadOutputZeroPoint(micro, node, &data->zero_point)) return Fail(micro, kArenaTooSmall);
  PrepareState(micro, data->options);
  return kTfLiteOk;
}

/* The active part of an input; reads a flattened one into scratch memory, channel by channel. */
reds_status ReadInput(Context* context, const Node* node, const ConcatenationData& data,
                      int32_t input, int32_t subnet) {
  reds_dims* active = &data.active[input];
  const auto* values = GetTensorData<int8_t>(GetEvalInput(context, node, input));
  *active = data.inputs[input];
  active->channels = ActiveFeatures(data.options, input, subnet);
  data.input_data[input] = values;
  if (data.flattened[input] == kNoScratch) return REDS_OK;
  const int32_t positions = data.options.positions[input];
  const reds_dims interleaved = {positions, 1, active->channels / positions,
                                 active->channel_stride / positions};
  MicroContext* micro = GetMicroContext(context);
  auto* buffer = static_cast<int8_t*>(micro->GetScratchBuffer(data.flattened[input]));
  data.input_data[input] = buffer;
  return reds_flatten_s8(&interleaved, values, active, buffer);
}

TfLiteStatus Eval(Context* context, Node* node) {
  MicroContext* micro = GetMicroContext(context);
  const auto& data = *static_cast<const ConcatenationData*>(node->user_data);
  const int32_t subnet = ActiveSubnet(context, node, data.options);
  if (subnet < 0) return kTfLiteError;
  reds_status status = REDS_OK;
  for (int32_t i = 0; i < data.options.input_count && status == REDS_OK; ++i) {
    status = ReadInput(context, node, data, i, subnet);
  }
  const reds_concatenate_params params = {data.runs, data.run_counts[subnet],
                                          data.options.input_count};
  reds_dims output_dims = data.output;
  output_dims.channels = data.options.outputs[subnet];
  auto* output = GetTensorData<int8_t>(GetEvalOutput(context, node, 0));
  if (status == REDS_OK) {
    status = reds_concatenate_s8(&params, data.active, data.input_data, &output_dims, output);
  }
  return Finish(micro, status, data.zero_point, output_dims, output);
}

}  // namespace

Registration RegisterConcatenation() { return RegisterOp(Init, Prepare, Eval); }

}  // namespace reds
}  // namespace micro
}  // namespace tflite
