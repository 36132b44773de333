/* The options of a custom op: what the model file says about it besides its tensors. */
#ifndef REDS_OPTIONS_H_
#define REDS_OPTIONS_H_

#include <stddef.h>
#include <stdint.h>

#include "reds_kernels.h"

namespace reds_options {

constexpr int32_t kVersion = 1;
constexpr int32_t kMaxSubnets = 64;

/* Version 1, a FlexBuffer map (see tflm_reds/tflite_io.py, which writes it):
 *   version, first, positions                   integers
 *   stride, dilation, padding, activation       vectors of 2
 *   inputs, outputs                             vectors of K */
struct Options {
  bool first;        /* the first of our ops in the graph latches the subnet */
  int32_t positions; /* fully connected after a flatten: spatial positions; else 1 */
  reds_extent stride;
  reds_extent dilation;
  reds_extent padding; /* above and left */
  reds_activation activation;
  int32_t subnet_count;
  int32_t *inputs;  /* active input channels of each subnet */
  int32_t *outputs; /* active output channels of each subnet */
};

/* Checks the version and reads the number of subnets; returns what is wrong, or null. */
const char *ReadSubnetCount(const uint8_t *data, size_t size, Options *options);

/* Reads everything else; `options->inputs` and `outputs` point to `subnet_count` values each.
 * Returns what is wrong, or null. */
const char *ReadOptions(const uint8_t *data, size_t size, Options *options);

}  // namespace reds_options

#endif  // REDS_OPTIONS_H_
