/* One call of a linear op's kernel, whatever the tensors of the node look like. */
#ifndef REDS_LINEAR_CALL_H_
#define REDS_LINEAR_CALL_H_

#include "reds_op_data.h"

namespace tflite {
namespace micro {
namespace reds {

/* What the kernel needs besides OpData. */
struct Call {
  reds_context scratch;
  reds_requantisation requantisation;
  reds_dims input_dims;
  reds_dims filter_dims;
  reds_dims output_dims;
  const int8_t* input;
  const int8_t* weights;
  const int32_t* bias;
  int8_t* output;
};

/* Sets the dims of input, filter and output to the widths of `subnet`. */
void SetCallDims(const OpData& data, int32_t subnet, Call* call);

reds_status RunConvolution(const OpData& data, const Call& call);
reds_status RunDepthwise(const OpData& data, const Call& call);
reds_status RunFullyConnected(const OpData& data, const Call& call);

/* Runs the kernel of a known kind, so that a program without another links none of its kernels. */
template <Kind kind>
reds_status RunKernel(const OpData& data, const Call& call) {
  return kind == Kind::kConvolution ? RunConvolution(data, call)
         : kind == Kind::kDepthwise ? RunDepthwise(data, call)
                                    : RunFullyConnected(data, call);
}

}  // namespace reds
}  // namespace micro
}  // namespace tflite

#endif  // REDS_LINEAR_CALL_H_
