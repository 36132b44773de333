/* REDS_MAX_POOL_2D, REDS_AVERAGE_POOL_2D, REDS_MEAN, REDS_PAD: nested int8 layers without weights
 * that move values between positions.
 *
 * inputs   0 activations int8 [1, height, width, channels]
 * output   activations int8, full shape; REDS_MEAN: [1, channels]; the inactive channels hold the
 *          zero point */
#include "reds_op_support.h"

namespace tflite {
namespace micro {
namespace reds {

namespace {

enum class Kind : uint8_t { kMaxPool, kAveragePool, kMean, kPad };

struct SpatialData {
  Kind kind;
  Options options;
  reds_factor factor; /* of MEAN, the division by the positions folded in */
  reds_dims input;    /* of the full network */
  reds_dims output;
  int32_t input_zero_point;
  int32_t output_zero_point;
};

/* Null makes Prepare fail. */
template <Kind kind>
void* Init(Context* context, const char* buffer, size_t length) {
  MicroContext* micro = GetMicroContext(context);
  auto* data = Allocate<SpatialData>(micro, 1);
  if (data == nullptr) return nullptr;
  data->kind = kind;
  const auto* bytes = reinterpret_cast<const uint8_t*>(buffer);
  const char* wrong = InitOptions(micro, bytes, length, &data->options);
  if (wrong == nullptr && kind == Kind::kMean) {
    wrong = reds_options::ReadFactors(bytes, length, 1, &data->factor);
  }
  if (wrong == nullptr) return data;
  Fail(micro, wrong);
  return nullptr;
}

/* The kernels check the rest: windows, padding, and that the output fits. */
bool ReadDims(const Context* context, const Node* node, SpatialData* data) {
  const TfLiteEvalTensor* input = GetEvalInput(context, node, 0);
  return HasInputs(context, node, data->options, 1) && data->options.input_count == 1 &&
         ReadActivationDims(input, 1, &data->input) && input->dims->size == 4 &&
         ReadActivationDims(GetEvalOutput(context, node, 0), 1, &data->output) &&
         data->input.channels == data->output.channels;
}

TfLiteStatus Prepare(Context* context, Node* node) {
  MicroContext* micro = GetMicroContext(context);
  auto* data = static_cast<SpatialData*>(node->user_data);
  if (data == nullptr) return kTfLiteError; /* Init has told why. */
  if (!ReadDims(context, node, data)) return Fail(micro, "shapes of input and output do not fit");
  for (int32_t k = 0; k < data->options.subnet_count; ++k) {
    if (data->options.outputs[k] > data->output.channels) {
      return Fail(micro, "a subnet is wider than the tensors");
    }
  }
  if (!ReadInputZeroPoint(micro, node, 0, &data->input_zero_point) ||
      !ReadOutputZeroPoint(micro, node, &data->output_zero_point)) {
    return Fail(micro, kArenaTooSmall);
  }
  PrepareState(micro, data->options);
  return kTfLiteOk;
}

reds_status RunPool(const SpatialData& data, const reds_dims& input_dims, const int8_t* input,
                    const reds_dims& output_dims, int8_t* output) {
  const Options& options = data.options;
  const reds_pool_params params = {options.stride, options.padding, options.activation};
  const int32_t channels = output_dims.channels;
  const reds_dims window = {options.kernel.height, options.kernel.width, channels, channels};
  auto* kernel = data.kind == Kind::kMaxPool ? reds_max_pool_s8 : reds_average_pool_s8;
  return kernel(&params, &input_dims, input, &window, &output_dims, output);
}

reds_status Run(const SpatialData& data, const reds_dims& input_dims, const int8_t* input,
                const reds_dims& output_dims, int8_t* output) {
  if (data.kind == Kind::kMean) {
    const reds_mean_params params = {-data.input_zero_point, data.output_zero_point,
                                     data.factor.multiplier, data.factor.shift};
    return reds_mean_s8(&params, &input_dims, input, &output_dims, output);
  }
  if (data.kind == Kind::kPad) {
    const reds_pad_params params = {data.options.padding.height, data.options.padding.width,
                                    data.output_zero_point};
    return reds_pad_s8(&params, &input_dims, input, &output_dims, output);
  }
  return RunPool(data, input_dims, input, output_dims, output);
}

TfLiteStatus Eval(Context* context, Node* node) {
  MicroContext* micro = GetMicroContext(context);
  const auto& data = *static_cast<const SpatialData*>(node->user_data);
  const int32_t subnet = ActiveSubnet(context, node, data.options);
  if (subnet < 0) return kTfLiteError;
  reds_dims input_dims = data.input;
  reds_dims output_dims = data.output;
  input_dims.channels = output_dims.channels = data.options.outputs[subnet];
  const auto* input = GetTensorData<int8_t>(GetEvalInput(context, node, 0));
  auto* output = GetTensorData<int8_t>(GetEvalOutput(context, node, 0));
  const reds_status status = Run(data, input_dims, input, output_dims, output);
  return Finish(micro, status, data.output_zero_point, output_dims, output);
}

}  // namespace

Registration RegisterMaxPool() { return RegisterOp(Init<Kind::kMaxPool>, Prepare, Eval); }

Registration RegisterAveragePool() { return RegisterOp(Init<Kind::kAveragePool>, Prepare, Eval); }

Registration RegisterMean() { return RegisterOp(Init<Kind::kMean>, Prepare, Eval); }

Registration RegisterPad() { return RegisterOp(Init<Kind::kPad>, Prepare, Eval); }

}  // namespace reds
}  // namespace micro
}  // namespace tflite
