#include "reds_op_data.h"

namespace tflite {
namespace micro {
namespace reds {

namespace {

bool HasShape(const TfLiteEvalTensor* tensor, TfLiteType type, int rank) {
  return tensor != nullptr && tensor->dims != nullptr && tensor->type == type &&
         tensor->dims->size == rank;
}

int Rank(const TfLiteEvalTensor* tensor) {
  return tensor == nullptr || tensor->dims == nullptr ? 0 : tensor->dims->size;
}

/* {height, width, channels} of [1, height, width, channels]. */
reds_dims SpatialDims(const TfLiteEvalTensor* tensor) {
  const int* dims = tensor->dims->data;
  return {dims[1], dims[2], dims[3], dims[3]};
}

reds_dims FlatDims(int32_t features) { return {1, 1, features, features}; }

/* All values of a tensor of batch 1; 0 if there are none or too many. */
int32_t Features(const TfLiteEvalTensor* tensor) {
  int64_t features = 1;
  for (int i = 1; i < tensor->dims->size; ++i) {
    features *= tensor->dims->data[i];
    if (features < 1 || features > INT32_MAX) return 0;
  }
  return static_cast<int32_t>(features);
}

bool IsCut(const Options& options, int32_t channels) {
  for (int32_t k = 0; k < options.subnet_count; ++k) {
    if (options.inputs[k] < channels) return true;
  }
  return false;
}

/* Whether `weights` are [rows, bytes of a row], packed as reds_block.h says; sets `filter`. */
bool ReadPackedWeights(const TfLiteEvalTensor* weights, OpData* data) {
  const int64_t row_bytes = SetPackedFilter(data);
  const int* dims = weights->dims->data;
  return weights->dims->size == 2 && dims[0] == (data->output.channels + 1) / 2 * 2 &&
         dims[1] == row_bytes;
}

/* The kernel for 3x3 windows takes [channels, 9], the general one [1, height, width, channels]. */
bool ReadDepthwiseWeights(const TfLiteEvalTensor* weights, OpData* data) {
  const int32_t channels = data->output.channels;
  const reds_extent kernel = data->options.kernel;
  const int* dims = weights->dims->data;
  data->filter = {kernel.height, kernel.width, channels, channels};
  if (data->kernel == Kernel::kDepthwise3x3) {
    return weights->dims->size == 2 && dims[0] == channels && dims[1] == 9;
  }
  return weights->dims->size == 4 && dims[0] == 1 && dims[1] == kernel.height &&
         dims[2] == kernel.width && dims[3] == channels && channels % data->input.channels == 0;
}

bool IsOne(reds_extent extent) { return extent.height == 1 && extent.width == 1; }

bool IsPointwise(const OpData& data) {
  const Options& options = data.options;
  return IsOne(options.kernel) && IsOne(options.stride) && options.padding.height == 0 &&
         options.padding.width == 0 && data.input.height == data.output.height &&
         data.input.width == data.output.width;
}

/* Whether the rows of taps are four inputs side by side. */
bool IsNarrow(const OpData& data) {
  const Options& options = data.options;
  const int32_t channels = data.input.channels;
  return channels <= 4 && options.kernel.width * channels == 4 && options.dilation.width == 1 &&
         !IsCut(options, channels);
}

/* Reads the full shapes; false if the tensors do not belong together. A fully connected layer reads
 * an input of any rank: flattening it would move no value. */
bool ReadDims(const TfLiteEvalTensor* input, const TfLiteEvalTensor* weights,
              const TfLiteEvalTensor* output, OpData* data) {
  const bool is_flat = data->kind == Kind::kFullyConnected;
  const bool is_depthwise = data->kind == Kind::kDepthwise;
  const int input_rank = is_flat ? Rank(input) : 4;
  if (input_rank < 2 || !HasShape(input, kTfLiteInt8, input_rank) ||
      !HasShape(output, kTfLiteInt8, is_flat ? 2 : 4) || weights == nullptr ||
      weights->dims == nullptr || weights->type != kTfLiteInt8 || input->dims->data[0] != 1 ||
      output->dims->data[0] != 1) {
    return false;
  }
  data->input = is_flat ? FlatDims(Features(input)) : SpatialDims(input);
  data->output = is_flat ? FlatDims(output->dims->data[1]) : SpatialDims(output);
  if (data->input.channels < 1) return false;
  data->kernel = ChooseKernel(*data);
  return is_depthwise ? ReadDepthwiseWeights(weights, data) : ReadPackedWeights(weights, data);
}

/* Entries for each subnet's active channels, or one for each channel that all share. */
bool IsTable(const TfLiteEvalTensor* table, TfLiteType type, const OpData& data) {
  if (!HasShape(table, type, 1)) return false;
  int64_t entries = 0;
  for (int32_t k = 0; k < data.options.subnet_count; ++k) entries += data.options.outputs[k];
  return table->dims->data[0] == data.output.channels || table->dims->data[0] == entries;
}

/* Every width must lie inside the tensors: the kernels rely on it. */
bool WidthsFit(const OpData& data) {
  const Options& options = data.options;
  const int32_t positions = options.positions[0];
  const int32_t channels = data.input.channels / positions;
  if (channels * positions != data.input.channels) return false;
  const int32_t multiplier = data.output.channels / data.input.channels;
  for (int32_t k = 0; k < options.subnet_count; ++k) {
    if (options.inputs[k] > channels || options.outputs[k] > data.output.channels) return false;
    if (data.kind == Kind::kDepthwise && options.inputs[k] * multiplier != options.outputs[k]) {
      return false;
    }
  }
  return data.kind == Kind::kFullyConnected || positions == 1;
}

size_t KernelScratchBytes(const OpData& data, const reds_dims& filter) {
  const reds_conv_params params = ConvParams(data);
  switch (data.kernel) {
    case Kernel::kConvolve:
      return reds_convolve_s8_get_buffer_size(&filter);
    case Kernel::kConvolve1x1:
      return reds_convolve_1x1_s8_get_buffer_size(&filter);
    case Kernel::kConvolveNarrow:
      return reds_convolve_narrow_s8_get_buffer_size(&filter);
    case Kernel::kDepthwise3x3:
      return reds_depthwise_conv_3x3_s8_get_buffer_size(&params, &data.output);
    case Kernel::kFullyConnected:
      return reds_fully_connected_s8_get_buffer_size(&filter);
    case Kernel::kDepthwise:
      break;
  }
  return 0;
}

/* Only the general convolution also works with less, more slowly. */
size_t LeastScratchBytes(const OpData& data, const reds_dims& filter, const reds_dims& output) {
  return data.kernel == Kernel::kConvolve ? reds_convolve_s8_get_least_buffer_size(&filter, &output)
                                          : KernelScratchBytes(data, filter);
}

size_t Larger(size_t a, size_t b) { return a > b ? a : b; }

}  // namespace

Kernel ChooseKernel(const OpData& data) {
  const Options& options = data.options;
  switch (data.kind) {
    case Kind::kConvolution:
      if (IsPointwise(data)) return Kernel::kConvolve1x1;
      return IsNarrow(data) ? Kernel::kConvolveNarrow : Kernel::kConvolve;
    case Kind::kDepthwise:
      return options.kernel.height == 3 && options.kernel.width == 3 &&
                     options.stride.height <= 2 && options.stride.width <= 2 &&
                     IsOne(options.dilation) && data.input.channels == data.output.channels
                 ? Kernel::kDepthwise3x3
                 : Kernel::kDepthwise;
    case Kind::kFullyConnected:
      break;
  }
  return Kernel::kFullyConnected;
}

int64_t SetPackedFilter(OpData* data) {
  const Options& options = data->options;
  const int32_t channels = data->input.channels;
  const int32_t taps = options.kernel.height * options.kernel.width;
  /* Each tap is a segment of its own: see segments_of in codegen/packing.py. */
  const bool by_taps = taps > 1 && (channels > 4 || IsCut(options, channels));
  const int32_t padded = (channels + 3) / 4 * 4;
  data->filter = {options.kernel.height, options.kernel.width, channels,
                  by_taps ? padded : channels};
  return by_taps ? static_cast<int64_t>(taps) * padded
                 : (static_cast<int64_t>(taps) * channels + 3) / 4 * 4;
}

const char* ReadShapes(const Context* context, const Node* node, OpData* data) {
  if (data->options.input_count != 1 || !HasInputs(context, node, data->options, kInputCount) ||
      !ReadDims(GetEvalInput(context, node, kInput), GetEvalInput(context, node, kWeights),
                GetEvalOutput(context, node, 0), data)) {
    return "shapes of input, weights and output do not fit";
  }
  if (!WidthsFit(*data)) return "a subnet is wider than the tensors";
  if (!IsTable(GetEvalInput(context, node, kBias), kTfLiteInt32, *data) ||
      !IsTable(GetEvalInput(context, node, kMultiplier), kTfLiteInt32, *data) ||
      !IsTable(GetEvalInput(context, node, kShift), kTfLiteInt8, *data)) {
    return "tables have no entries for each subnet, nor some for all";
  }
  return nullptr;
}

reds_conv_params ConvParams(const OpData& data) {
  const Options& options = data.options;
  return {-data.input_zero_point, data.output_zero_point, options.stride, options.padding,
          options.dilation,       options.activation,     nullptr};
}

size_t ScratchBytes(const OpData& data) {
  /* A narrower subnet may need more: its rows have gaps. */
  size_t most = 0;
  size_t least = 0;
  for (int32_t k = 0; k < data.options.subnet_count; ++k) {
    reds_dims filter = data.filter;
    filter.channels = data.options.inputs[k] * data.options.positions[0];
    reds_dims output = data.output;
    output.channels = data.options.outputs[k];
    most = Larger(most, KernelScratchBytes(data, filter));
    least = Larger(least, LeastScratchBytes(data, filter, output));
  }
  const size_t wanted = static_cast<size_t>(data.options.scratch);
  return wanted > most ? most : Larger(wanted, least);
}

}  // namespace reds
}  // namespace micro
}  // namespace tflite
