#include "reds_tflm.h"

namespace tflite {
namespace micro {
namespace reds {

const NamedOp kOps[kOpCount] = {
    {"REDS_CONV_2D", RegisterConvolution},
    {"REDS_DEPTHWISE_CONV_2D", RegisterDepthwiseConvolution},
    {"REDS_FULLY_CONNECTED", RegisterFullyConnected},
    {"REDS_ADD", RegisterAdd},
    {"REDS_PRELU", RegisterPrelu},
    {"REDS_LOOKUP", RegisterLookup},
    {"REDS_CONCATENATION", RegisterConcatenation},
    {"REDS_MAX_POOL_2D", RegisterMaxPool},
    {"REDS_AVERAGE_POOL_2D", RegisterAveragePool},
    {"REDS_MEAN", RegisterMean},
    {"REDS_PAD", RegisterPad},
};

}  // namespace reds
}  // namespace micro
}  // namespace tflite
