#include "reds_options.h"

#include "reds_flexbuffer.h"

namespace reds_options {

using reds_flexbuffer::Map;

namespace {

bool ReadExtent(const Map &map, const char *key, int32_t least, reds_extent *extent) {
  int32_t values[2];
  if (!map.Read(key, values, 2) || values[0] < least || values[1] < least) return false;
  *extent = {values[0], values[1]};
  return true;
}

bool ReadActivation(const Map &map, reds_activation *activation) {
  int32_t values[2];
  if (!map.Read("activation", values, 2)) return false;
  *activation = {values[0], values[1]};
  return -128 <= values[0] && values[0] <= values[1] && values[1] <= 127;
}

bool ReadWidths(const Map &map, const char *key, int32_t count, int32_t *widths) {
  if (!map.Read(key, widths, static_cast<size_t>(count))) return false;
  for (int32_t k = 0; k < count; ++k) {
    if (widths[k] < 1) return false;
  }
  return true;
}

}  // namespace

const char *ReadSubnetCount(const uint8_t *data, size_t size, Options *options) {
  const Map map(data, size);
  int32_t version;
  if (!map.Read("version", &version)) return "options are damaged: no version";
  if (version != kVersion) return "options have an unknown version: update tflm-reds";
  const size_t count = map.Count("outputs");
  if (count < 1 || count > kMaxSubnets) return "options are damaged: no subnets, or more than 64";
  options->subnet_count = static_cast<int32_t>(count);
  return nullptr;
}

const char *ReadOptions(const uint8_t *data, size_t size, Options *options) {
  const Map map(data, size);
  int32_t first;
  if (!map.Read("first", &first) || !map.Read("positions", &options->positions) ||
      options->positions < 1) {
    return "options are damaged: first, positions";
  }
  options->first = first != 0;
  if (!ReadExtent(map, "stride", 1, &options->stride) ||
      !ReadExtent(map, "dilation", 1, &options->dilation) ||
      !ReadExtent(map, "padding", 0, &options->padding)) {
    return "options are damaged: stride, dilation, padding";
  }
  if (!ReadActivation(map, &options->activation)) return "options are damaged: activation";
  if (!ReadWidths(map, "inputs", options->subnet_count, options->inputs) ||
      !ReadWidths(map, "outputs", options->subnet_count, options->outputs)) {
    return "options are damaged: widths of the subnets";
  }
  return nullptr;
}

}  // namespace reds_options
