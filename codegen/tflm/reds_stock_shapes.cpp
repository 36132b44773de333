#include "reds_stock_data.h"

namespace tflite {
namespace micro {
namespace reds {

namespace {

/* The beginnings of TFLM's TfLiteConvParams and its like, the same in all trees. They stand in
 * different headers, so the fields are declared here, with enumerations of the same sizes. */
enum Padding { kPaddingUnknown = 0, kPaddingSame, kPaddingValid };
enum Activation { kNone = 0, kRelu, kReluN1To1, kRelu6, kTanh, kSignBit, kSigmoid };

struct ConvolutionOptions {
  Padding padding;
  int stride_width;
  int stride_height;
  Activation activation;
  int dilation_width;
  int dilation_height;
};

struct DepthwiseOptions {
  Padding padding;
  int stride_width;
  int stride_height;
  int depth_multiplier;
  Activation activation;
  int dilation_width;
  int dilation_height;
};

struct FullyConnectedOptions {
  Activation activation;
};

/* The activation as the lowest and the highest multiple of one; the tables' maker scales them. */
bool SetActivation(Activation activation, reds_activation* range) {
  if (activation == kNone) *range = {INT32_MIN, INT32_MAX};
  if (activation == kRelu) *range = {0, INT32_MAX};
  if (activation == kReluN1To1) *range = {-1, 1};
  if (activation == kRelu6) *range = {0, 6};
  return activation <= kRelu6;
}

int32_t PaddingBefore(int32_t input, int32_t output, int32_t kernel, int32_t stride,
                      int32_t dilation) {
  const int32_t total = (output - 1) * stride + (kernel - 1) * dilation + 1 - input;
  return total > 0 ? total / 2 : 0;
}

template <class StockOptions>
bool ReadWindow(const StockOptions& stock, OpData* data) {
  Options& options = data->options;
  options.stride = {stock.stride_height, stock.stride_width};
  options.dilation = {stock.dilation_height, stock.dilation_width};
  options.padding = {0, 0};
  if (stock.padding == kPaddingSame) {
    options.padding.height =
        PaddingBefore(data->input.height, data->output.height, options.kernel.height,
                      options.stride.height, options.dilation.height);
    options.padding.width =
        PaddingBefore(data->input.width, data->output.width, options.kernel.width,
                      options.stride.width, options.dilation.width);
  }
  return SetActivation(stock.activation, &options.activation) && options.stride.height > 0 &&
         options.stride.width > 0 && options.dilation.height > 0 && options.dilation.width > 0;
}

bool ReadOptions(const void* builtin, OpData* data) {
  if (builtin == nullptr) return false;
  switch (data->kind) {
    case Kind::kConvolution:
      return ReadWindow(*static_cast<const ConvolutionOptions*>(builtin), data);
    case Kind::kDepthwise:
      return ReadWindow(*static_cast<const DepthwiseOptions*>(builtin), data);
    case Kind::kFullyConnected:
      break;
  }
  const auto& stock = *static_cast<const FullyConnectedOptions*>(builtin);
  data->options.stride = data->options.dilation = {1, 1};
  data->options.padding = {0, 0};
  return SetActivation(stock.activation, &data->options.activation);
}

/* At most kMostWeights; -1 if there are more, or a size is not positive. */
int64_t Elements(const TfLiteEvalTensor* tensor) {
  int64_t count = 1;
  for (int i = 0; i < tensor->dims->size; ++i) {
    const int size = tensor->dims->data[i];
    if (size < 1 || count > kMostWeights / size) return -1;
    count *= size;
  }
  return count;
}

/* Whether weights [out, in], inputs and outputs of batch 1 belong together. */
bool ReadFlatDims(const TfLiteEvalTensor* input, const TfLiteEvalTensor* weights,
                  const TfLiteEvalTensor* output, OpData* data) {
  const int* sizes = weights->dims->data;
  if (weights->dims->size != 2 || Elements(input) != sizes[1] || Elements(output) != sizes[0]) {
    return false;
  }
  data->input = {1, 1, sizes[1], sizes[1]};
  data->output = {1, 1, sizes[0], sizes[0]};
  data->options.kernel = {1, 1};
  return true;
}

/* Weights are [out, kh, kw, in], or depthwise [1, kh, kw, out]. */
bool ReadSpatialDims(const TfLiteEvalTensor* input, const TfLiteEvalTensor* weights,
                     const TfLiteEvalTensor* output, OpData* data) {
  const int* sizes = weights->dims->data;
  if (weights->dims->size != 4 || input->dims->size != 4 || output->dims->size != 4 ||
      !ReadActivationDims(input, 1, &data->input) ||
      !ReadActivationDims(output, 1, &data->output)) {
    return false;
  }
  data->options.kernel = {sizes[1], sizes[2]};
  const int32_t channels = data->output.channels;
  return data->kind == Kind::kDepthwise
             ? sizes[0] == 1 && sizes[3] == channels && channels % data->input.channels == 0
             : sizes[0] == channels && sizes[3] == data->input.channels;
}

bool IsInt8(const TfLiteEvalTensor* tensor) {
  return tensor != nullptr && tensor->dims != nullptr && tensor->type == kTfLiteInt8;
}

/* The options of one subnet of full width. */
void SetOneSubnet(StockData* data) {
  Options& options = data->op.options;
  options.input_count = options.subnet_count = 1;
  options.scratch = INT32_MAX;
  options.positions = &data->widths[0];
  options.inputs = &data->widths[1];
  options.outputs = &data->widths[2];
  data->widths[0] = 1;
  data->widths[1] = data->op.input.channels;
  data->widths[2] = data->op.output.channels;
}

}  // namespace

const char* ReadStockShapes(const Context* context, const Node* node, StockData* data) {
  OpData* op = &data->op;
  if (node->inputs->size < 2 || node->outputs->size != 1) return "a stock op lacks its weights";
  const TfLiteEvalTensor* input = GetEvalInput(context, node, kStockInput);
  const TfLiteEvalTensor* weights = GetEvalInput(context, node, kStockWeights);
  const TfLiteEvalTensor* output = GetEvalOutput(context, node, 0);
  if (!IsInt8(input) || !IsInt8(weights) || !IsInt8(output)) {
    return "our kernels run int8 stock ops only: register TFLM's own for this model";
  }
  if (Elements(weights) < 0) return "the weights of a stock op are empty or too large";
  auto* read_dims = op->kind == Kind::kFullyConnected ? ReadFlatDims : ReadSpatialDims;
  if (!read_dims(input, weights, output, op)) {
    return "shapes of input, weights and output do not fit batch 1";
  }
  if (!ReadOptions(node->builtin_data, op)) return "a stock op has options that we do not know";
  SetOneSubnet(data);
  op->kernel = ChooseKernel(*op);
  return nullptr;
}

}  // namespace reds
}  // namespace micro
}  // namespace tflite
