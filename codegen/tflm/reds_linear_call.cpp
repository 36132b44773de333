#include "reds_linear_call.h"

namespace tflite {
namespace micro {
namespace reds {

namespace {

reds_status Run(decltype(&reds_convolve_s8) kernel, const OpData& data, const Call& call) {
  const reds_conv_params params = ConvParams(data);
  return kernel(&call.scratch, &params, &call.requantisation, &call.input_dims, call.input,
                &call.filter_dims, call.weights, call.bias, &call.output_dims, call.output);
}

}  // namespace

void SetCallDims(const OpData& data, int32_t subnet, Call* call) {
  call->input_dims = data.input;
  call->filter_dims = data.filter;
  call->output_dims = data.output;
  call->input_dims.channels = data.options.inputs[subnet] * data.options.positions[0];
  call->output_dims.channels = data.options.outputs[subnet];
  call->filter_dims.channels = data.kind == Kind::kDepthwise ? call->output_dims.channels
                                                             : call->input_dims.channels;
}

reds_status RunConvolution(const OpData& data, const Call& call) {
  auto* kernel = data.kernel == Kernel::kConvolve1x1      ? reds_convolve_1x1_s8
                 : data.kernel == Kernel::kConvolveNarrow ? reds_convolve_narrow_s8
                                                          : reds_convolve_s8;
  return Run(kernel, data, call);
}

reds_status RunDepthwise(const OpData& data, const Call& call) {
  auto* kernel =
      data.kernel == Kernel::kDepthwise3x3 ? reds_depthwise_conv_3x3_s8 : reds_depthwise_conv_s8;
  return Run(kernel, data, call);
}

reds_status RunFullyConnected(const OpData& data, const Call& call) {
  const reds_fc_params params = {-data.input_zero_point, data.output_zero_point,
                                 data.options.activation, nullptr};
  return reds_fully_connected_s8(&call.scratch, &params, &call.requantisation, &call.input_dims,
                                 call.input, &call.filter_dims, call.weights, call.bias,
                                 &call.output_dims, call.output);
}

}  // namespace reds
}  // namespace micro
}  // namespace tflite
