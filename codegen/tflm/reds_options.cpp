#include "reds_options.h"

#include "reds_flexbuffer.h"

namespace reds_options {

using reds_flexbuffer::Map;

namespace {

bool ReadExtent(const Map &map, const char *key, int32_t least, reds_extent *extent) {
  int32_t values[2];
  if (!map.Read(key, values, 2) || values[0] < least || values[1] < least) return false;
  if (values[0] > kMaxExtent || values[1] > kMaxExtent) return false;
  *extent = {values[0], values[1]};
  return true;
}

bool ReadActivation(const Map &map, reds_activation *activation) {
  int32_t values[2];
  if (!map.Read("activation", values, 2)) return false;
  *activation = {values[0], values[1]};
  return -128 <= values[0] && values[0] <= values[1] && values[1] <= 127;
}

/* `count` numbers of at least 1. */
bool ReadPositive(const Map &map, const char *key, int32_t count, int32_t *values) {
  if (!map.Read(key, values, static_cast<size_t>(count))) return false;
  for (int32_t i = 0; i < count; ++i) {
    if (values[i] < 1) return false;
  }
  return true;
}

}  // namespace

const char *ReadCounts(const uint8_t *data, size_t size, Options *options) {
  const Map map(data, size);
  int32_t version;
  if (!map.Read("version", &version)) return "options are damaged: no version";
  if (version != kVersion) return "options have an unknown version: update tflm-reds";
  const size_t count = map.Count("outputs");
  if (count < 1 || count > kMaxSubnets) return "options are damaged: no subnets, or more than 64";
  options->subnet_count = static_cast<int32_t>(count);
  const size_t inputs = map.Count("positions");
  if (inputs < 1 || inputs > kMaxInputs) return "options are damaged: no inputs, or more than 64";
  options->input_count = static_cast<int32_t>(inputs);
  return nullptr;
}

const char *ReadOptions(const uint8_t *data, size_t size, Options *options) {
  const Map map(data, size);
  int32_t first;
  int32_t subnet_input;
  if (!map.Read("first", &first) || !map.Read("subnet_input", &subnet_input) ||
      !map.Read("scratch", &options->scratch) || options->scratch < 0 ||
      !ReadPositive(map, "positions", options->input_count, options->positions)) {
    return "options are damaged: first, subnet_input, scratch, positions";
  }
  options->first = first != 0;
  options->subnet_input = subnet_input != 0;
  if (!ReadExtent(map, "kernel", 1, &options->kernel) ||
      !ReadExtent(map, "stride", 1, &options->stride) ||
      !ReadExtent(map, "dilation", 1, &options->dilation) ||
      !ReadExtent(map, "padding", 0, &options->padding)) {
    return "options are damaged: kernel, stride, dilation, padding";
  }
  if (!ReadActivation(map, &options->activation)) return "options are damaged: activation";
  const int32_t widths = options->input_count * options->subnet_count;
  if (!ReadPositive(map, "inputs", widths, options->inputs) ||
      !ReadPositive(map, "outputs", options->subnet_count, options->outputs)) {
    return "options are damaged: widths of the subnets";
  }
  return nullptr;
}

const char *ReadFactors(const uint8_t *data, size_t size, size_t count, reds_factor *factors) {
  if (count == 0) return nullptr;
  constexpr size_t kMost = 3;
  int32_t values[2 * kMost];
  if (count > kMost || !Map(data, size).Read("factors", values, 2 * count)) {
    return "options are damaged: factors";
  }
  for (size_t i = 0; i < count; ++i) {
    factors[i] = {values[2 * i], values[2 * i + 1]};
    const bool is_shift = -31 <= factors[i].shift && factors[i].shift <= 30;
    if (factors[i].multiplier < 0 || !is_shift) return "options are damaged: factors";
  }
  return nullptr;
}

}  // namespace reds_options
