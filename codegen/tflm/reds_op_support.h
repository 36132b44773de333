/* What our ops share: the state that selects the subnet, options, zero points, scratch memory. */
#ifndef REDS_OP_SUPPORT_H_
#define REDS_OP_SUPPORT_H_

#include "reds_kernels.h"
#include "reds_options.h"
#include "reds_tflm.h"

namespace tflite {
namespace micro {
namespace reds {

using reds_options::Options;

constexpr int kNoScratch = -1;
constexpr const char* kArenaTooSmall = "the arena is too small";

/* The external context if it is ours, else the default state. */
reds_tflm_state* FindState(MicroContext* micro);

/* Leaves the reason for reds_tflm_error. */
TfLiteStatus Fail(MicroContext* micro, const char* reason);

/* Persistent memory for `count` objects, zeroed; null if there is none. */
template <class T>
T* Allocate(MicroContext* micro, int32_t count) {
  auto* objects = static_cast<T*>(
      micro->AllocatePersistentBuffer(static_cast<size_t>(count) * sizeof(T)));
  for (int32_t i = 0; objects != nullptr && i < count; ++i) objects[i] = T();
  return objects;
}

/* Copies the options into persistent memory; returns what is wrong, or null. */
const char* InitOptions(MicroContext* micro, const uint8_t* bytes, size_t length,
                        Options* options);

/* The first of our ops says how many subnets there are, and selects the full network; nothing to do
 * where an input tensor selects. */
void PrepareState(MicroContext* micro, const Options& options);

/* The subnet of this invocation: of the model's own input tensor if it was built so, else latched by
 * the first op; -1 after telling that there is no such subnet, or that the state belongs to another
 * model. */
int32_t ActiveSubnet(Context* context, const Node* node, const Options& options);

/* Whether the node has one output and `count` inputs, besides that of the subnet. */
bool HasInputs(const Context* context, const Node* node, const Options& options, int count);

bool ReadInputZeroPoint(MicroContext* micro, const Node* node, int index, int32_t* zero_point);
bool ReadOutputZeroPoint(MicroContext* micro, const Node* node, int32_t* zero_point);

bool RequestScratch(MicroContext* micro, size_t bytes, int* index);

/* A tensor of batch 1, full width: {height, width, channels}; flat with `positions` interleaved:
 * {positions, 1, channels}. False if it has another type or rank, or positions do not fit. */
bool ReadActivationDims(const TfLiteEvalTensor* tensor, int32_t positions, reds_dims* dims);

/* Fills the inactive channels of the output where the kernel has succeeded. */
TfLiteStatus Finish(MicroContext* micro, reds_status status, int32_t zero_point,
                    const reds_dims& output_dims, int8_t* output);

}  // namespace reds
}  // namespace micro
}  // namespace tflite

#endif  // REDS_OP_SUPPORT_H_
