/* The kernels: int8 layers of a nested network, one public function a file.
 *
 * A subnet computes the first `channels` units of every layer out of a tensor laid out for the full
 * network. Every shape therefore carries two widths: `channels` (active, what is computed) and
 * `channel_stride` (full, the bytes from one position to the next). A narrower subnet reads a
 * prefix of each weight row and a prefix of the rows; nothing is copied or repacked.
 *
 *   activations  int8 [height][width][channel_stride], the first `channels` of each position count;
 *                the inactive tail is neither read nor written
 *   arithmetic   TensorFlow Lite Micro's reference kernels, double rounding, byte for byte
 *   arguments    context, params, requantisation, input_dims, input, filter_dims, filter, bias,
 *                output_dims, output (the order of CMSIS-NN)
 *   result       REDS_OK, or REDS_ERROR_ARGUMENT with `output` untouched: a null pointer, a width
 *                of zero or above its stride, a tensor of 2 GiB or more, scratch memory too small
 *
 * Nothing needs alignment but scratch memory and packed weights (4 bytes). The input and the output
 * of a kernel must not overlap unless its comment allows it. A kernel "in order" makes position
 * after position and reads nothing before the windows of those to come, so its output may lie below
 * its input and run into it, as long as no position is written over a window that is still to be
 * read. The heavy kernels are assembly on cores with the DSP extension (Cortex-M4, M7, M33), plain
 * C11 elsewhere. All give the same bytes. */
#ifndef REDS_KERNELS_H_
#define REDS_KERNELS_H_

#include "reds.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Scratch memory for the time of one call, from the kernel's `..._get_buffer_size`. `buffer` may be
 * null when that size is 0. */
typedef struct {
  void *buffer; /* aligned to 4 bytes */
  size_t size;
} reds_context;

typedef struct {
  int32_t height;
  int32_t width;
} reds_extent;

typedef struct {
  int32_t height;
  int32_t width;
  int32_t channels;       /* active in this subnet */
  int32_t channel_stride; /* of the full network, >= channels */
} reds_dims;

/* The int8 values that a fused activation lets through. */
typedef struct {
  int32_t min;
  int32_t max;
} reds_activation;

/* One entry for each active output channel of the subnet (its own table: batch-norm differs between
 * subnets): real multiplier = multiplier * 2^(shift - 31). */
typedef struct {
  const int32_t *multiplier; /* in [2^30, 2^31) */
  const int8_t *shift;       /* in [-31, 30]; a positive one is applied before the multiplication,
                                and (accumulator << shift) must fit 32 bits */
} reds_requantisation;

typedef struct {
  int32_t input_offset;  /* minus the zero point of the input, in [-127, 128] */
  int32_t output_offset; /* the zero point of the output, in [-128, 127] */
  reds_extent stride;
  reds_extent padding; /* rows above and columns left of the input; below and right follow from
                          output_dims. Padding holds the zero point */
  reds_extent dilation;
  reds_activation activation;
  const int8_t *lookup; /* output of a fused element-wise op for each int8 value -128..127; null:
                           none. `output_offset` and `activation` are those before it */
} reds_conv_params;

typedef struct {
  int32_t input_offset;
  int32_t output_offset;
  reds_activation activation;
  const int8_t *lookup;
} reds_fc_params;

typedef struct {
  reds_extent stride;
  reds_extent padding; /* above and left; less than the window */
  reds_activation activation;
} reds_pool_params;

typedef struct {
  int32_t input_offset;
  int32_t output_offset;
  int32_t multiplier; /* real multiplier with the division by the number of positions folded in */
  int32_t shift;
} reds_mean_params;

typedef struct {
  int32_t top;
  int32_t left;
  int32_t value; /* the zero point */
} reds_pad_params;

/* A real factor: multiplier * 2^(shift - 31). */
typedef struct {
  int32_t multiplier; /* in [2^30, 2^31) */
  int32_t shift;      /* in [-31, 30] */
} reds_factor;

typedef struct {
  int32_t input1_offset; /* minus the zero point of the first input, in [-127, 128] */
  int32_t input2_offset;
  int32_t output_offset;
  reds_factor input1; /* of the first input, shifted left by 20 bits; below one */
  reds_factor input2;
  reds_factor output; /* of the sum; below one */
  reds_activation activation;
} reds_add_params;

typedef struct {
  int32_t input_offset;
  int32_t output_offset;
  reds_factor identity; /* of inputs >= 0 */
  reds_factor slope;    /* of negative inputs times their slope */
} reds_prelu_params;

/* Consecutive channels of one input of a concatenation. */
typedef struct {
  int32_t input;
  int32_t first;
  int32_t channels;
} reds_run;

typedef struct {
  const reds_run *runs;
  int32_t run_count;
  int32_t input_count;
} reds_concatenate_params;

/* Convolution with any kernel size, stride, dilation and padding.
 *
 * filter       packed pairs of rows, see reds_block.h; aligned to 4 bytes
 * filter_dims  {kernel height, kernel width, input channels, stride}: the stride is the number of
 *              input channels; or, where a subnet uses fewer, their full number rounded up to a
 *              multiple of 4
 * bias         int32, one for each active output channel, without the input zero point
 * scratch      reds_convolve_s8_get_buffer_size
 *
 * In order, four positions at a time: the windows of four are read in full before one of them is
 * written. Of a number of positions that is no multiple of four the last four are made again. */
reds_status reds_convolve_s8(const reds_context *context, const reds_conv_params *params,
                             const reds_requantisation *requantisation, const reds_dims *input_dims,
                             const int8_t *input, const reds_dims *filter_dims,
                             const int8_t *filter, const int32_t *bias,
                             const reds_dims *output_dims, int8_t *output);

/* Bytes of scratch for full speed, on every core; a static buffer needs the maximum over the
 * subnets. The kernel also works, a little slower, with any size from the least on. */
size_t reds_convolve_s8_get_buffer_size(const reds_dims *filter_dims);
size_t reds_convolve_s8_get_least_buffer_size(const reds_dims *filter_dims,
                                              const reds_dims *output_dims);

/* Convolution whose kernel's rows are four inputs: kernel width x input channels = 4, the channels
 * not cut, no dilation along the width; such as the 10x4 kernels on one channel of keyword
 * networks.
 *
 * filter, filter_dims  as of reds_convolve_s8
 * scratch              reds_convolve_narrow_s8_get_buffer_size
 *
 * In order, four positions at a time, which are read in full before one of them is written. */
reds_status reds_convolve_narrow_s8(const reds_context *context, const reds_conv_params *params,
                                    const reds_requantisation *requantisation,
                                    const reds_dims *input_dims, const int8_t *input,
                                    const reds_dims *filter_dims, const int8_t *filter,
                                    const int32_t *bias, const reds_dims *output_dims,
                                    int8_t *output);

size_t reds_convolve_narrow_s8_get_buffer_size(const reds_dims *filter_dims);

/* Convolution with a 1x1 kernel, stride 1 and no padding: a matrix product over the positions.
 *
 * filter       packed pairs of rows, see reds_block.h; aligned to 4 bytes
 * filter_dims  {1, 1, input channels, full input channels of the weights}
 * scratch      reds_convolve_1x1_s8_get_buffer_size
 *
 * In order, four positions at a time, which are read in full before one of them is written; the
 * last 1 to 3 one by one. Where the stride of `output` is smaller than that of `input`, from the
 * last position to the first: then `output` may end where `input` ends, or above. */
reds_status reds_convolve_1x1_s8(const reds_context *context, const reds_conv_params *params,
                                 const reds_requantisation *requantisation,
                                 const reds_dims *input_dims, const int8_t *input,
                                 const reds_dims *filter_dims, const int8_t *filter,
                                 const int32_t *bias, const reds_dims *output_dims, int8_t *output);

size_t reds_convolve_1x1_s8_get_buffer_size(const reds_dims *filter_dims);

/* The same, two positions at a time on cores with the DSP extension, else one: slower, with less
 * scratch.
 *
 * scratch      reds_convolve_1x1_small_s8_get_buffer_size; or the least size, for one position
 *
 * In order, positions read in full before they are written; from the last one to the first as
 * above. */
reds_status reds_convolve_1x1_small_s8(const reds_context *context, const reds_conv_params *params,
                                       const reds_requantisation *requantisation,
                                       const reds_dims *input_dims, const int8_t *input,
                                       const reds_dims *filter_dims, const int8_t *filter,
                                       const int32_t *bias, const reds_dims *output_dims,
                                       int8_t *output);

size_t reds_convolve_1x1_small_s8_get_buffer_size(const reds_dims *filter_dims);
size_t reds_convolve_1x1_small_s8_get_least_buffer_size(const reds_dims *filter_dims);

/* Convolution with any kernel size, stride, dilation and padding, or a fully connected layer, that
 * reads its inputs where they lie: slower than the others, without scratch.
 *
 * filter, filter_dims  as of reds_convolve_s8. Where the stride is the number of input channels and
 *                      no multiple of 4, the kernel is 1x1; or its rows hold a multiple of four
 *                      inputs, the channels are not cut, and there is neither a dilation nor
 *                      padding along the width
 * scratch              none: `context` may be null
 *
 * In order. With a 1x1 kernel, stride 1 and no padding, and a smaller stride of `output` than of
 * `input`, from the last position to the first. */
reds_status reds_convolve_direct_s8(const reds_context *context, const reds_conv_params *params,
                                    const reds_requantisation *requantisation,
                                    const reds_dims *input_dims, const int8_t *input,
                                    const reds_dims *filter_dims, const int8_t *filter,
                                    const int32_t *bias, const reds_dims *output_dims,
                                    int8_t *output);

/* Depthwise convolution; a depth multiplier of output channels / input channels, those of one input
 * channel together.
 *
 * filter       int8 [kernel height][kernel width][filter channel_stride]
 * filter_dims  {kernel height, kernel width, output channels, full output channels of the weights}
 * scratch      none: `context` may be null
 *
 * In order. */
reds_status reds_depthwise_conv_s8(const reds_context *context, const reds_conv_params *params,
                                   const reds_requantisation *requantisation,
                                   const reds_dims *input_dims, const int8_t *input,
                                   const reds_dims *filter_dims, const int8_t *filter,
                                   const int32_t *bias, const reds_dims *output_dims,
                                   int8_t *output);

/* Depthwise convolution with a 3x3 kernel, one output channel for each input channel, no dilation,
 * and strides of 1 or 2. The time of a multiplication does not depend on the number of channels.
 * `output` may be `input` when the dims are equal, with strides of 1 and padding of at most 2.
 *
 * filter       int8 [full channels][3][3]
 * filter_dims  {3, 3, channels, full channels}
 * scratch      reds_depthwise_conv_3x3_s8_get_buffer_size */
reds_status reds_depthwise_conv_3x3_s8(const reds_context *context, const reds_conv_params *params,
                                       const reds_requantisation *requantisation,
                                       const reds_dims *input_dims, const int8_t *input,
                                       const reds_dims *filter_dims, const int8_t *filter,
                                       const int32_t *bias, const reds_dims *output_dims,
                                       int8_t *output);

/* Bytes of scratch on every core and for any number of channels. */
size_t reds_depthwise_conv_3x3_s8_get_buffer_size(const reds_conv_params *params,
                                                  const reds_dims *output_dims);

/* Fully connected layer: the active inputs are one contiguous prefix.
 *
 * input_dims   {1, 1, active inputs, any stride >= active inputs}; after a flatten the inputs are
 *              channel-major (reds_flatten_s8), so that a prefix of the channels is a prefix
 * filter       packed pairs of rows, see reds_block.h; aligned to 4 bytes
 * filter_dims  {1, 1, active inputs, full inputs of the weights}
 * output_dims  {1, 1, active outputs, full outputs}
 * scratch      reds_fully_connected_s8_get_buffer_size
 *
 * The input is read in full before an output is written: they may overlap. */
reds_status reds_fully_connected_s8(const reds_context *context, const reds_fc_params *params,
                                    const reds_requantisation *requantisation,
                                    const reds_dims *input_dims, const int8_t *input,
                                    const reds_dims *filter_dims, const int8_t *filter,
                                    const int32_t *bias, const reds_dims *output_dims,
                                    int8_t *output);

size_t reds_fully_connected_s8_get_buffer_size(const reds_dims *filter_dims);

/* Pooling over a window of filter_dims->height x width (its channels are not read). Padding never
 * counts. Input and output share scale and zero point. In order. */
reds_status reds_max_pool_s8(const reds_pool_params *params, const reds_dims *input_dims,
                             const int8_t *input, const reds_dims *filter_dims,
                             const reds_dims *output_dims, int8_t *output);

reds_status reds_average_pool_s8(const reds_pool_params *params, const reds_dims *input_dims,
                                 const int8_t *input, const reds_dims *filter_dims,
                                 const reds_dims *output_dims, int8_t *output);

/* Mean over all positions; output_dims is {1, 1, channels, channel_stride}. */
reds_status reds_mean_s8(const reds_mean_params *params, const reds_dims *input_dims,
                         const int8_t *input, const reds_dims *output_dims, int8_t *output);

/* Sum of two tensors of the same size. `output` may be an input of the same dims. */
reds_status reds_add_s8(const reds_add_params *params, const reds_dims *input1_dims,
                        const int8_t *input1, const reds_dims *input2_dims, const int8_t *input2,
                        const reds_dims *output_dims, int8_t *output);

/* Puts channels of several inputs behind one another at each position, run by run. All tensors have
 * the same height, width, scale and zero point; the runs together are the output's channels.
 *
 * input_dims, inputs  params->input_count entries each
 *
 * With cut inputs the runs go by subnet, then by input (the channels of the smallest subnet first),
 * so that a narrower subnet is a prefix of the output: it copies the first runs only. */
reds_status reds_concatenate_s8(const reds_concatenate_params *params, const reds_dims *input_dims,
                                const int8_t *const *inputs, const reds_dims *output_dims,
                                int8_t *output);

/* Values below zero times an int8 slope of their channel: slope_dims is {1, 1, channels,
 * full channels}, or the input's height and width where each position has slopes of its own.
 * `output` may be `input` when the dims are equal. */
reds_status reds_prelu_s8(const reds_prelu_params *params, const reds_dims *input_dims,
                          const int8_t *input, const reds_dims *slope_dims, const int8_t *slopes,
                          const reds_dims *output_dims, int8_t *output);

/* Any function of one int8 value (LeakyReLU, hard-swish, ReLU): output = table[input + 128].
 * `output` may be `input` when the dims are equal. */
reds_status reds_lookup_s8(const int8_t *table, const reds_dims *input_dims, const int8_t *input,
                           const reds_dims *output_dims, int8_t *output);

/* Softmax over the channels of each position; output scale 1/256, zero point -128.
 * `exponentials` holds 256 values: exp(-d * input scale) in Q0.31 for d = maximum - input.
 * `output` may be `input` when the dims are equal. */
reds_status reds_softmax_s8(const int32_t *exponentials, const reds_dims *input_dims,
                            const int8_t *input, const reds_dims *output_dims, int8_t *output);

/* Copies the input into the middle of an output filled with params->value. */
reds_status reds_pad_s8(const reds_pad_params *params, const reds_dims *input_dims,
                        const int8_t *input, const reds_dims *output_dims, int8_t *output);

/* Flattens [height][width][channels] to channel-major rows [channels][height * width], the order in
 * which a prefix of the channels is a prefix of the features.
 * output_dims is {1, 1, channels * positions, full channels * positions}. */
reds_status reds_flatten_s8(const reds_dims *input_dims, const int8_t *input,
                            const reds_dims *output_dims, int8_t *output);

/* Sets the inactive channels (channels .. channel_stride - 1) of each position to `value`, the zero
 * point: needed where a stock operator reads the full tensor. */
reds_status reds_fill_tail_s8(int32_t value, const reds_dims *output_dims, int8_t *output);

#ifdef __cplusplus
}
#endif
#endif /* REDS_KERNELS_H_ */
