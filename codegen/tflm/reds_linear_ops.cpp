/* REDS_CONV_2D, REDS_DEPTHWISE_CONV_2D, REDS_FULLY_CONNECTED: nested int8 layers.
 *
 * inputs   0 activations int8, full shape; of any rank for a fully connected layer
 *          1 weights int8, the one set of the full network: depthwise [1, kh, kw, out], or
 *            [out, 9] for the kernel of 3x3 windows; else [rows, bytes of a row], packed as
 *            reds_block.h says, aligned to 4 bytes; the inputs of a flattened tensor are
 *            channel-major
 *          2 bias int32, 3 multiplier int32, 4 shift int8: the subnets' entries one after the
 *            other, one for each active channel, or [out] that serve every subnet by their beginning
 * output   activations int8, full shape; the inactive channels hold the zero point
 *
 * Shapes never change at run time. One prepared node (OpData) serves every subnet. */
#include "reds_linear_call.h"

namespace tflite {
namespace micro {
namespace reds {

namespace {

/* Null makes Prepare fail. */
template <Kind kind>
void* Init(Context* context, const char* buffer, size_t length) {
  MicroContext* micro = GetMicroContext(context);
  auto* data = Allocate<OpData>(micro, 1);
  if (data == nullptr) return nullptr;
  data->kind = kind;
  const auto* bytes = reinterpret_cast<const uint8_t*>(buffer);
  const char* wrong = InitOptions(micro, bytes, length, &data->options);
  if (wrong == nullptr) return data;
  Fail(micro, wrong);
  return nullptr;
}

TfLiteStatus Prepare(Context* context, Node* node) {
  MicroContext* micro = GetMicroContext(context);
  auto* data = static_cast<OpData*>(node->user_data);
  if (data == nullptr) return kTfLiteError; /* Init has told why. */
  const char* wrong = ReadShapes(context, node, data);
  if (wrong != nullptr) return Fail(micro, wrong);
  data->scratch_bytes = ScratchBytes(*data);
  const bool is_interleaved = data->options.positions[0] > 1;
  const size_t flattened = is_interleaved ? static_cast<size_t>(data->input.channels) : 0;
  if (!ReadInputZeroPoint(micro, node, kInput, &data->input_zero_point) ||
      !ReadOutputZeroPoint(micro, node, &data->output_zero_point) ||
      !RequestScratch(micro, data->scratch_bytes, &data->scratch) ||
      !RequestScratch(micro, flattened, &data->flattened)) {
    return Fail(micro, kArenaTooSmall);
  }
  PrepareState(micro, data->options);
  return kTfLiteOk;
}

/* The entries of `subnet` in a table; without sharing they begin at `first`. */
template <typename T>
const T* Entries(Context* context, Node* node, const OpData& data, InputIndex index,
                 int32_t first) {
  const TfLiteEvalTensor* table = GetEvalInput(context, node, index);
  const bool is_shared = table->dims->data[0] == data.output.channels;
  return GetTensorData<T>(table) + (is_shared ? 0 : first);
}

Call MakeCall(Context* context, Node* node, const OpData& data, int32_t subnet) {
  MicroContext* micro = GetMicroContext(context);
  Call call;
  call.scratch.buffer =
      data.scratch == kNoScratch ? nullptr : micro->GetScratchBuffer(data.scratch);
  call.scratch.size = data.scratch_bytes;
  int32_t first = 0;
  for (int32_t k = 0; k < subnet; ++k) first += data.options.outputs[k];
  call.requantisation.multiplier = Entries<int32_t>(context, node, data, kMultiplier, first);
  call.requantisation.shift = Entries<int8_t>(context, node, data, kShift, first);
  call.bias = Entries<int32_t>(context, node, data, kBias, first);
  call.weights = GetTensorData<int8_t>(GetEvalInput(context, node, kWeights));
  call.input = GetTensorData<int8_t>(GetEvalInput(context, node, kInput));
  call.output = GetTensorData<int8_t>(GetEvalOutput(context, node, 0));
  SetCallDims(data, subnet, &call);
  return call;
}

/* The features of a flattened tensor are position-major: bring the active channels together. */
reds_status Flatten(MicroContext* micro, const OpData& data, Call* call) {
  const int32_t positions = data.options.positions[0];
  const reds_dims interleaved = {positions, 1, call->input_dims.channels / positions,
                                 data.input.channels / positions};
  auto* buffer = static_cast<int8_t*>(micro->GetScratchBuffer(data.flattened));
  const int8_t* input = call->input;
  call->input = buffer;
  return reds_flatten_s8(&interleaved, input, &call->input_dims, buffer);
}

template <Kind kind>
TfLiteStatus Eval(Context* context, Node* node) {
  MicroContext* micro = GetMicroContext(context);
  const OpData& data = *static_cast<const OpData*>(node->user_data);
  const int32_t subnet = ActiveSubnet(context, node, data.options);
  if (subnet < 0) return kTfLiteError;
  Call call = MakeCall(context, node, data, subnet);
  reds_status status = data.options.positions[0] > 1 ? Flatten(micro, data, &call) : REDS_OK;
  if (status == REDS_OK) status = RunKernel<kind>(data, call);
  return Finish(micro, status, data.output_zero_point, call.output_dims, call.output);
}

}  // namespace

Registration RegisterConvolution() {
  return RegisterOp(Init<Kind::kConvolution>, Prepare, Eval<Kind::kConvolution>);
}

Registration RegisterDepthwiseConvolution() {
  return RegisterOp(Init<Kind::kDepthwise>, Prepare, Eval<Kind::kDepthwise>);
}

Registration RegisterFullyConnected() {
  return RegisterOp(Init<Kind::kFullyConnected>, Prepare, Eval<Kind::kFullyConnected>);
}

}  // namespace reds
}  // namespace micro
}  // namespace tflite
