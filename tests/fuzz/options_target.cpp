/* What a fuzzer calls: the parser of the custom ops' options on any bytes.
 *
 * The entry is libFuzzer's. With clang: clang++ -fsanitize=fuzzer,address,undefined on this file,
 * reds_options.cpp and reds_flexbuffer.cpp; with gcc, driver.cpp stands in for libFuzzer. */
#include <stdlib.h>
#include <string.h>

#include "reds_options.h"

using reds_options::Options;

namespace {

/* An array on the heap, of exactly this size: a value too many is found. */
int32_t* Array(int32_t count) {
  return static_cast<int32_t*>(calloc(static_cast<size_t>(count), sizeof(int32_t)));
}

void Require(bool condition) {
  if (!condition) abort();
}

/* What the ops rely on without looking again. */
void CheckRanges(const Options& options) {
  const int32_t inputs = options.input_count;
  const int32_t subnets = options.subnet_count;
  Require(options.kernel.height >= 1 && options.stride.width >= 1 && options.padding.width >= 0);
  Require(-128 <= options.activation.min && options.activation.max <= 127);
  for (int32_t i = 0; i < inputs; ++i) Require(options.positions[i] >= 1);
  for (int32_t i = 0; i < inputs * subnets; ++i) Require(options.inputs[i] >= 1);
  for (int32_t k = 0; k < subnets; ++k) Require(options.outputs[k] >= 1);
}

void Read(const uint8_t* data, size_t size) {
  Options options = {};
  if (reds_options::ReadCounts(data, size, &options) != nullptr) return;
  Require(1 <= options.subnet_count && options.subnet_count <= reds_options::kMaxSubnets);
  Require(1 <= options.input_count && options.input_count <= reds_options::kMaxInputs);
  options.positions = Array(options.input_count);
  options.inputs = Array(options.input_count * options.subnet_count);
  options.outputs = Array(options.subnet_count);
  if (reds_options::ReadOptions(data, size, &options) == nullptr) CheckRanges(options);
  free(options.positions);
  free(options.inputs);
  free(options.outputs);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto* copy = static_cast<uint8_t*>(malloc(size)); /* ends where reading must end */
  if (size > 0) memcpy(copy, data, size);
  Read(copy, size);
  reds_factor factors[3];
  for (size_t count = 0; count <= 4; ++count) {
    reds_options::ReadFactors(copy, size, count, factors);
  }
  free(copy);
  return 0;
}
