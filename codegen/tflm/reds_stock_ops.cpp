/* CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED of any int8 model of batch 1, by our kernels. */
#include "reds_stock_data.h"

namespace tflite {
namespace micro {
namespace reds {

namespace {

/* Null makes Prepare fail. */
template <Kind kind>
void* Init(Context* context, const char*, size_t) {
  MicroContext* micro = GetMicroContext(context);
  auto* data = Allocate<StockData>(micro, 1);
  if (data != nullptr) data->op.kind = kind;
  return data;
}

/* The bias of a node; zeros if it has none, which are null without memory. */
const int32_t* Bias(Context* context, const Node* node, int32_t channels) {
  if (node->inputs->size > kStockBias && node->inputs->data[kStockBias] >= 0) {
    return GetTensorData<int32_t>(GetEvalInput(context, node, kStockBias));
  }
  return Allocate<int32_t>(GetMicroContext(context), channels);
}

TfLiteStatus Prepare(Context* context, Node* node) {
  MicroContext* micro = GetMicroContext(context);
  auto* data = static_cast<StockData*>(node->user_data);
  if (data == nullptr) return Fail(micro, kArenaTooSmall);
  const char* wrong = ReadStockShapes(context, node, data);
  if (wrong == nullptr) wrong = MakeStockTables(micro, node, data);
  if (wrong != nullptr) return Fail(micro, wrong);
  data->bias = Bias(context, node, data->op.output.channels);
  if (data->bias == nullptr) return Fail(micro, kArenaTooSmall);
  const auto* weights = GetTensorData<int8_t>(GetEvalInput(context, node, kStockWeights));
  wrong = PrepareStockWeights(micro, weights, data);
  if (wrong != nullptr) return Fail(micro, wrong);
  OpData* op = &data->op;
  op->scratch_bytes = ScratchBytes(*op);
  if (!RequestScratch(micro, op->scratch_bytes, &op->scratch)) return Fail(micro, kArenaTooSmall);
  return kTfLiteOk;
}

Call MakeCall(Context* context, const Node* node, const StockData& data) {
  const OpData& op = data.op;
  Call call;
  void* scratch =
      op.scratch == kNoScratch ? nullptr : GetMicroContext(context)->GetScratchBuffer(op.scratch);
  call.scratch = {scratch, op.scratch_bytes};
  call.requantisation = {data.multiplier, data.shift};
  call.bias = data.bias;
  call.input = GetTensorData<int8_t>(GetEvalInput(context, node, kStockInput));
  call.weights = data.packed;
  call.output = GetTensorData<int8_t>(GetEvalOutput(context, node, 0));
  SetCallDims(op, 0, &call);
  return call;
}

/* The outputs from channel `first` on, with their weights. */
Call MakePart(const Call& whole, int32_t first, int32_t channels, const int8_t* weights) {
  Call part = whole;
  part.output_dims.channels = channels;
  part.requantisation.multiplier += first;
  part.requantisation.shift += first;
  part.bias += first;
  part.output += first;
  part.weights = weights;
  return part;
}

/* Packs some rows of the weights and computes their outputs, again and again. */
template <Kind kind>
reds_status RunInParts(Context* context, const StockData& data, const int8_t* weights,
                       const Call& whole) {
  auto* packed =
      static_cast<int8_t*>(GetMicroContext(context)->GetScratchBuffer(data.packed_scratch));
  const int32_t channels = data.op.output.channels;
  reds_status status = REDS_OK;
  for (int32_t first = 0; first < channels && status == REDS_OK; first += data.rows) {
    const int32_t left = channels - first;
    const int32_t count = left < data.rows ? left : data.rows;
    PackStockRows(data.op, weights, first, count, packed);
    status = RunKernel<kind>(data.op, MakePart(whole, first, count, packed));
  }
  return status;
}

template <Kind kind>
TfLiteStatus Eval(Context* context, Node* node) {
  const auto& data = *static_cast<const StockData*>(node->user_data);
  const auto* weights = GetTensorData<int8_t>(GetEvalInput(context, node, kStockWeights));
  Call call = MakeCall(context, node, data);
  if (data.row_bytes == 0) call.weights = weights;
  const reds_status status = data.packed_scratch == kNoScratch
                                 ? RunKernel<kind>(data.op, call)
                                 : RunInParts<kind>(context, data, weights, call);
  return status == REDS_OK ? kTfLiteOk
                           : Fail(GetMicroContext(context), "a kernel refuses its shapes");
}

}  // namespace

Registration RegisterStockConvolution() {
  return RegisterOp(Init<Kind::kConvolution>, Prepare, Eval<Kind::kConvolution>);
}

Registration RegisterStockDepthwiseConvolution() {
  return RegisterOp(Init<Kind::kDepthwise>, Prepare, Eval<Kind::kDepthwise>);
}

Registration RegisterStockFullyConnected() {
  return RegisterOp(Init<Kind::kFullyConnected>, Prepare, Eval<Kind::kFullyConnected>);
}

}  // namespace reds
}  // namespace micro
}  // namespace tflite
