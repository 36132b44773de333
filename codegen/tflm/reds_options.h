/* The options of a custom op: what the model file says about it besides its tensors. */
#ifndef REDS_OPTIONS_H_
#define REDS_OPTIONS_H_

#include <stddef.h>
#include <stdint.h>

#include "reds_kernels.h"

namespace reds_options {

constexpr int32_t kVersion = 5;
constexpr int32_t kMaxSubnets = 64;
constexpr int32_t kMaxInputs = 64;
constexpr int32_t kMaxExtent = 1 << 15; /* of kernel, stride, dilation, padding: no sum overflows */

/* Version 5, a FlexBuffer map (see tflm_reds/tflite_custom.py, which writes it):
 *   version, first, subnet_input, scratch       integers
 *   kernel, stride, dilation, padding, activation   vectors of 2
 *   positions                                   vector of one integer for each input
 *   inputs                                      vector of K for each input, one after the other
 *   outputs                                     vector of K
 *   factors                                     (multiplier, shift) pairs of ADD, PRELU, MEAN */
struct Options {
  bool first;        /* the first of our ops in the graph latches the subnet */
  bool subnet_input; /* the last input, int32 [1], is the subnet: no state is needed */
  int32_t scratch;   /* bytes of scratch memory that suffice for a convolution's speed */
  reds_extent kernel; /* of a pool, the window */
  reds_extent stride;
  reds_extent dilation;
  reds_extent padding; /* above and left; of PAD, what it adds there */
  reds_activation activation;
  int32_t input_count; /* activations that the op reads */
  int32_t subnet_count;
  int32_t *positions; /* of each input: spatial positions of a flattened tensor; else 1 */
  int32_t *inputs;    /* active channels [input_count][subnet_count] */
  int32_t *outputs;   /* active channels [subnet_count] */
};

/* Checks the version and reads the numbers of inputs and subnets; returns what is wrong, or null. */
const char *ReadCounts(const uint8_t *data, size_t size, Options *options);

/* Reads everything else but the factors; the arrays of `options` have room for their values.
 * Returns what is wrong, or null. */
const char *ReadOptions(const uint8_t *data, size_t size, Options *options);

/* Reads `count` factors; returns what is wrong, or null. */
const char *ReadFactors(const uint8_t *data, size_t size, size_t count, reds_factor *factors);

}  // namespace reds_options

#endif  // REDS_OPTIONS_H_
