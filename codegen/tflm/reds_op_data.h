/* What a linear op knows about itself after Prepare; the same for every subnet. */
#ifndef REDS_OP_DATA_H_
#define REDS_OP_DATA_H_

#include "reds_op_support.h"

namespace tflite {
namespace micro {
namespace reds {

enum InputIndex { kInput = 0, kWeights, kBias, kMultiplier, kShift, kInputCount };
enum class Kind : uint8_t { kConvolution, kDepthwise, kFullyConnected };
enum class Kernel : uint8_t {
  kConvolve,
  kConvolve1x1,
  kConvolveNarrow,
  kDepthwise,
  kDepthwise3x3,
  kFullyConnected
};

struct OpData {
  Kind kind;
  Kernel kernel;
  Options options;
  reds_dims input; /* of the full network; fully connected: {1, 1, features, features} */
  reds_dims filter;
  reds_dims output;
  int32_t input_zero_point;
  int32_t output_zero_point;
  size_t scratch_bytes;
  int scratch; /* index for GetScratchBuffer, or kNoScratch */
  int flattened;
};

/* Reads the full shapes of a node's tensors and checks options and tables against them; returns
 * what is wrong, or null. The kernels rely on it: after this no subnet reaches beyond a tensor. */
const char* ReadShapes(const Context* context, const Node* node, OpData* data);

/* The kernel for these shapes and options. */
Kernel ChooseKernel(const OpData& data);

/* Sets `filter` for packed weights of these shapes; returns the bytes of a row. */
int64_t SetPackedFilter(OpData* data);

/* The parameters of a convolution's kernel. */
reds_conv_params ConvParams(const OpData& data);

/* Scratch memory of the kernel that `data` calls, as much as the options say, enough for every
 * subnet. */
size_t ScratchBytes(const OpData& data);

}  // namespace reds
}  // namespace micro
}  // namespace tflite

#endif  // REDS_OP_DATA_H_
