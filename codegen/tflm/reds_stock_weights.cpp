/* Stock weights in the order of our kernels: see reds_block.h, and codegen/packing.py, which packs
 * those of the custom ops offline. */
#include "reds_stock_data.h"

namespace tflite {
namespace micro {
namespace reds {

namespace {

constexpr int32_t kGroup = 4;
constexpr int32_t kGroupOrder[kGroup] = {0, 2, 1, 3};
constexpr int32_t kTaps3x3 = 9;
constexpr int32_t kPackedBytes = REDS_STOCK_PACKED_BYTES;

/* The rows of a pair; the second is null behind the last of an odd number. */
struct RowPair {
  const int8_t* even;
  const int8_t* odd;
};

/* A segment of `inputs` weights, filled up to whole groups with zeros, as int16. */
int8_t* PackSegment(const RowPair& rows, int32_t inputs, int8_t* packed) {
  for (int32_t group = 0; group < inputs; group += kGroup) {
    for (int32_t place : kGroupOrder) {
      const int32_t i = group + place;
      const int32_t low = i < inputs ? rows.even[i] : 0;
      const int32_t high = i < inputs && rows.odd != nullptr ? rows.odd[i] : 0;
      const int32_t mix = 256 * high + low;
      *packed++ = static_cast<int8_t>(mix & 0xFF);
      *packed++ = static_cast<int8_t>(mix >> 8);
    }
  }
  return packed;
}

void PackPairs(const OpData& op, const int8_t* weights, int32_t first, int32_t count,
               int8_t* packed) {
  const int32_t taps = op.filter.height * op.filter.width;
  const bool by_taps = op.filter.channel_stride != op.filter.channels || op.filter.channels > kGroup;
  const int32_t segments = by_taps ? taps : 1;
  const int32_t inputs = by_taps ? op.filter.channels : taps * op.filter.channels;
  const int32_t row = segments * inputs;
  for (int32_t i = first; i < first + count; i += 2) {
    const bool has_odd = i + 1 < op.output.channels;
    RowPair rows = {weights + i * row, has_odd ? weights + (i + 1) * row : nullptr};
    for (int32_t segment = 0; segment < segments; ++segment) {
      packed = PackSegment(rows, inputs, packed);
      rows.even += inputs;
      if (has_odd) rows.odd += inputs;
    }
  }
}

/* [3][3][channels] to [channels][3][3]. */
void PackDepthwise(const OpData& op, const int8_t* weights, int8_t* packed) {
  const int32_t channels = op.output.channels;
  for (int32_t channel = 0; channel < channels; ++channel) {
    for (int32_t tap = 0; tap < kTaps3x3; ++tap) {
      *packed++ = weights[tap * channels + channel];
    }
  }
}

/* Sets the filter and the bytes of a packed row. */
void SetRows(StockData* data) {
  OpData* op = &data->op;
  const int32_t channels = op->output.channels;
  data->rows = channels;
  data->row_bytes = 0;
  if (op->kind != Kind::kDepthwise) {
    data->row_bytes = static_cast<int32_t>(SetPackedFilter(op)); /* see kMostWeights */
    return;
  }
  op->filter = {op->options.kernel.height, op->options.kernel.width, channels, channels};
  if (op->kernel == Kernel::kDepthwise3x3 && channels * kTaps3x3 > kPackedBytes) {
    op->kernel = Kernel::kDepthwise; /* it takes stock weights as they are */
  }
  if (op->kernel == Kernel::kDepthwise3x3) data->row_bytes = kTaps3x3;
}

bool HasLowest(const OpData& op, const int8_t* weights) {
  const int32_t depth = op.kind == Kind::kDepthwise ? 1 : op.input.channels;
  const int32_t count =
      op.output.channels * op.options.kernel.height * op.options.kernel.width * depth;
  for (int32_t i = 0; i < count; ++i) {
    if (weights[i] == INT8_MIN) return true;
  }
  return false;
}

}  // namespace

const char* PrepareStockWeights(MicroContext* micro, const int8_t* weights, StockData* data) {
  const OpData& op = data->op;
  if (HasLowest(op, weights)) return "weights of -128: quantise symmetrically";
  SetRows(data);
  data->packed_scratch = kNoScratch;
  if (data->row_bytes == 0) return nullptr;
  const int32_t even = (op.output.channels + 1) / 2 * 2;
  if (data->row_bytes <= kPackedBytes / even) {
    data->packed = Allocate<int8_t>(micro, even * data->row_bytes);
    if (data->packed == nullptr) return kArenaTooSmall;
    PackStockRows(op, weights, 0, op.output.channels, data->packed);
    return nullptr;
  }
  const int32_t pairs = kPackedBytes / (2 * data->row_bytes);
  data->rows = pairs > 0 ? 2 * pairs : 2;
  const auto bytes = static_cast<size_t>(data->rows * data->row_bytes);
  return RequestScratch(micro, bytes, &data->packed_scratch) ? nullptr : kArenaTooSmall;
}

void PackStockRows(const OpData& op, const int8_t* weights, int32_t first, int32_t count,
                   int8_t* packed) {
  if (op.kernel == Kernel::kDepthwise3x3) {
    PackDepthwise(op, weights, packed);
  } else {
    PackPairs(op, weights, first, count, packed);
  }
}

}  // namespace reds
}  // namespace micro
}  // namespace tflite
