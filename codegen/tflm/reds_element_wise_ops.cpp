/* REDS_ADD, REDS_PRELU, REDS_LOOKUP: nested int8 element-wise layers.
 *
 * inputs   REDS_ADD: two activations int8 of the same full shape
 *          REDS_PRELU: activations int8; slopes int8 [height or 1, width or 1, channels], of a
 *          flattened tensor [positions, 1, channels]
 *          REDS_LOOKUP (LeakyReLU, ReLU, ReLU6, hard-swish): activations int8; table int8 [256],
 *          the output for each value -128 .. 127
 * output   activations int8, full shape; the inactive channels hold the zero point
 *
 * A flattened tensor of `positions` is read as {positions, 1, channels}. */
#include "reds_op_support.h"

namespace tflite {
namespace micro {
namespace reds {

namespace {

enum class Kind : uint8_t { kAdd, kPrelu, kLookup };

constexpr int kInputs = 2; /* tensors, slopes or table included */
constexpr int kTableSize = 256;

struct ElementWiseData {
  Kind kind;
  Options options;
  reds_factor factors[3]; /* both inputs and the sum; or inputs >= 0, and the slopes */
  reds_dims dims;         /* of the full network */
  reds_dims slope;
  int32_t input_zero_points[2];
  int32_t output_zero_point;
};

size_t FactorCount(Kind kind) { return kind == Kind::kAdd ? 3 : kind == Kind::kPrelu ? 2 : 0; }

/* Null makes Prepare fail. */
template <Kind kind>
void* Init(Context* context, const char* buffer, size_t length) {
  MicroContext* micro = GetMicroContext(context);
  auto* data = Allocate<ElementWiseData>(micro, 1);
  if (data == nullptr) return nullptr;
  data->kind = kind;
  const auto* bytes = reinterpret_cast<const uint8_t*>(buffer);
  const char* wrong = InitOptions(micro, bytes, length, &data->options);
  if (wrong == nullptr) {
    wrong = reds_options::ReadFactors(bytes, length, FactorCount(kind), data->factors);
  }
  if (wrong == nullptr) return data;
  Fail(micro, wrong);
  return nullptr;
}

bool SameDims(const reds_dims& a, const reds_dims& b) {
  return a.height == b.height && a.width == b.width && a.channels == b.channels;
}

bool ReadSlopeDims(const TfLiteEvalTensor* slopes, reds_dims* dims) {
  if (slopes == nullptr || slopes->dims == nullptr || slopes->type != kTfLiteInt8 ||
      slopes->dims->size != 3) {
    return false;
  }
  const int* sizes = slopes->dims->data;
  *dims = {sizes[0], sizes[1], sizes[2], sizes[2]};
  return true;
}

bool IsTable(const TfLiteEvalTensor* table) {
  return table != nullptr && table->dims != nullptr && table->type == kTfLiteInt8 &&
         table->dims->size == 1 && table->dims->data[0] == kTableSize;
}

/* Whether the second input is what the op takes. */
bool ReadSecond(const TfLiteEvalTensor* second, ElementWiseData* data) {
  reds_dims other;
  switch (data->kind) {
    case Kind::kAdd:
      return data->options.input_count == 2 &&
             ReadActivationDims(second, data->options.positions[0], &other) &&
             SameDims(data->dims, other);
    case Kind::kPrelu:
      return data->options.input_count == 1 && ReadSlopeDims(second, &data->slope) &&
             data->slope.channels == data->dims.channels;
    case Kind::kLookup:
      break;
  }
  return data->options.input_count == 1 && IsTable(second);
}

/* The kernels check the rest: the size of the slopes, and the factors. */
bool ReadDims(const Context* context, const Node* node, ElementWiseData* data) {
  const int32_t positions = data->options.positions[0];
  reds_dims output;
  return HasInputs(context, node, data->options, kInputs) &&
         ReadActivationDims(GetEvalInput(context, node, 0), positions, &data->dims) &&
         ReadActivationDims(GetEvalOutput(context, node, 0), positions, &output) &&
         SameDims(data->dims, output) && ReadSecond(GetEvalInput(context, node, 1), data);
}

TfLiteStatus Prepare(Context* context, Node* node) {
  MicroContext* micro = GetMicroContext(context);
  auto* data = static_cast<ElementWiseData*>(node->user_data);
  if (data == nullptr) return kTfLiteError; /* Init has told why. */
  if (!ReadDims(context, node, data)) return Fail(micro, "shapes of inputs and output do not fit");
  for (int32_t k = 0; k < data->options.subnet_count; ++k) {
    if (data->options.outputs[k] > data->dims.channels) {
      return Fail(micro, "a subnet is wider than the tensors");
    }
  }
  const int count = data->options.input_count;
  for (int i = 0; i < count; ++i) {
    if (!ReadInputZeroPoint(micro, node, i, &data->input_zero_points[i])) {
      return Fail(micro, kArenaTooSmall);
    }
  }
  if (!ReadOutputZeroPoint(micro, node, &data->output_zero_point)) {
    return Fail(micro, kArenaTooSmall);
  }
  PrepareState(micro, data->options);
  return kTfLiteOk;
}

reds_status Run(const ElementWiseData& data, const reds_dims& dims, const int8_t* first,
                const int8_t* second, int8_t* output) {
  const int32_t* zero_points = data.input_zero_points;
  if (data.kind == Kind::kLookup) return reds_lookup_s8(second, &dims, first, &dims, output);
  if (data.kind == Kind::kAdd) {
    const reds_add_params params = {-zero_points[0],  -zero_points[1], data.output_zero_point,
                                    data.factors[0],  data.factors[1], data.factors[2],
                                    data.options.activation};
    return reds_add_s8(&params, &dims, first, &dims, second, &dims, output);
  }
  const reds_prelu_params params = {-zero_points[0], data.output_zero_point, data.factors[0],
                                    data.factors[1]};
  reds_dims slope = data.slope;
  slope.channels = dims.channels;
  return reds_prelu_s8(&params, &dims, first, &slope, second, &dims, output);
}

TfLiteStatus Eval(Context* context, Node* node) {
  MicroContext* micro = GetMicroContext(context);
  const auto& data = *static_cast<const ElementWiseData*>(node->user_data);
  const int32_t subnet = ActiveSubnet(context, node, data.options);
  if (subnet < 0) return kTfLiteError;
  reds_dims dims = data.dims;
  dims.channels = data.options.outputs[subnet];
  const auto* first = GetTensorData<int8_t>(GetEvalInput(context, node, 0));
  const auto* second = GetTensorData<int8_t>(GetEvalInput(context, node, 1));
  auto* output = GetTensorData<int8_t>(GetEvalOutput(context, node, 0));
  const reds_status status = Run(data, dims, first, second, output);
  return Finish(micro, status, data.output_zero_point, dims, output);
}

}  // namespace

Registration RegisterAdd() { return RegisterOp(Init<Kind::kAdd>, Prepare, Eval); }

Registration RegisterPrelu() { return RegisterOp(Init<Kind::kPrelu>, Prepare, Eval); }

Registration RegisterLookup() { return RegisterOp(Init<Kind::kLookup>, Prepare, Eval); }

}  // namespace reds
}  // namespace micro
}  // namespace tflite
