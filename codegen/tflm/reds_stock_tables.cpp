#include "reds_stock_data.h"

namespace tflite {
namespace micro {
namespace reds {

namespace {

constexpr double kLargestFactor = 1 << 30;

/* multiplier * 2^(shift - 31) is nearest to `real`, as TFLM's QuantizeMultiplier makes it; false if
 * no kernel takes it. */
bool QuantizeFactor(double real, int32_t* multiplier, int8_t* shift) {
  if (!(real >= 0 && real < kLargestFactor)) return false;
  int exponent = 0;
  for (; real >= 1; real /= 2) ++exponent;
  for (; real < 0.5 && exponent >= -31; real *= 2) --exponent;
  auto fixed = static_cast<int64_t>(real * (INT64_C(1) << 31) + 0.5);
  if (fixed == INT64_C(1) << 31) {
    fixed /= 2;
    ++exponent;
  }
  const bool is_zero = exponent < -31;
  /* The kernels take no zero: this rounds every sum to zero as well. */
  *multiplier = is_zero ? 1 << 30 : static_cast<int32_t>(fixed);
  *shift = static_cast<int8_t>(is_zero ? -31 : exponent);
  return true;
}

/* `multiple` of one in steps of the tensor, clamped to int8. */
int32_t Quantized(int32_t multiple, const TfLiteQuantizationParams& params) {
  if (multiple == INT32_MIN) return INT8_MIN;
  if (multiple == INT32_MAX) return INT8_MAX;
  const float steps = static_cast<float>(multiple) / params.scale;
  const double rounded = steps < 0 ? steps - 0.5 : steps + 0.5;
  if (rounded <= INT8_MIN - 256 || rounded >= INT8_MAX + 256) {
    return rounded < 0 ? INT8_MIN : INT8_MAX;
  }
  const int32_t value = params.zero_point + static_cast<int32_t>(rounded);
  return value < INT8_MIN ? INT8_MIN : value > INT8_MAX ? INT8_MAX : value;
}

const TfLiteFloatArray* Scales(const TfLiteTensor& weights) {
  const auto* affine = static_cast<const TfLiteAffineQuantization*>(weights.quantization.params);
  return affine == nullptr ? nullptr : affine->scale;
}

const char* FillTables(const TfLiteTensor& input, const TfLiteTensor& weights,
                       const TfLiteTensor& output, StockData* data) {
  OpData* op = &data->op;
  const TfLiteFloatArray* scales = Scales(weights);
  const int32_t channels = op->output.channels;
  if (scales == nullptr || (scales->size != 1 && scales->size != channels)) {
    return "weights have neither one scale nor one for each output channel";
  }
  if (weights.params.zero_point != 0) return "weights have a zero point: quantise symmetrically";
  /* TFLM multiplies a fully connected layer's one scale as float. */
  const bool as_float = op->kind == Kind::kFullyConnected && scales->size == 1;
  for (int32_t i = 0; i < channels; ++i) {
    const float scale = scales->data[scales->size == 1 ? 0 : i];
    const double product = as_float ? static_cast<double>(input.params.scale * scale)
                                    : static_cast<double>(input.params.scale) * scale;
    const double real = product / static_cast<double>(output.params.scale);
    if (!QuantizeFactor(real, &data->multiplier[i], &data->shift[i])) {
      return "scales are out of range";
    }
  }
  op->input_zero_point = input.params.zero_point;
  op->output_zero_point = output.params.zero_point;
  reds_activation* range = &op->options.activation;
  *range = {Quantized(range->min, output.params), Quantized(range->max, output.params)};
  return nullptr;
}

}  // namespace

const char* MakeStockTables(MicroContext* micro, const Node* node, StockData* data) {
  const int32_t channels = data->op.output.channels;
  data->multiplier = Allocate<int32_t>(micro, channels);
  data->shift = Allocate<int8_t>(micro, channels);
  TfLiteTensor* input = micro->AllocateTempInputTensor(node, kStockInput);
  TfLiteTensor* weights = micro->AllocateTempInputTensor(node, kStockWeights);
  TfLiteTensor* output = micro->AllocateTempOutputTensor(node, 0);
  const bool complete = data->multiplier != nullptr && data->shift != nullptr &&
                        input != nullptr && weights != nullptr && output != nullptr;
  const char* wrong = complete ? FillTables(*input, *weights, *output, data) : kArenaTooSmall;
  TfLiteTensor* const tensors[] = {output, weights, input};
  for (TfLiteTensor* tensor : tensors) {
    if (tensor != nullptr) micro->DeallocateTempTfLiteTensor(tensor);
  }
  return wrong;
}

}  // namespace reds
}  // namespace micro
}  // namespace tflite
