/* The ops of a generated model as constant data, and the functions that run them. Not public.
 *
 * An op names its kernel, so that only the kernels in use are linked. Its tensors know their widths
 * in each subnet: the arguments of the kernel are made from them when the op runs. */
#ifndef REDS_OPS_H_
#define REDS_OPS_H_

#include "reds_kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Places of the caller's tensors; those of all others are bytes into the arena. */
#define REDS_INPUT (-1)
#define REDS_OUTPUT (-2)

typedef struct {
  int32_t height;
  int32_t width;
  int32_t channel_stride;
  const int32_t *channels; /* active, of each subnet; null: always channel_stride */
  int32_t place;
} reds_tensor;

/* A layer with weights. Tables of different subnets follow one another, subnet after subnet. */
typedef struct {
  const reds_tensor *input;
  const reds_tensor *output;
  reds_extent window;
  int32_t filter_stride; /* of the packed weights: reds_dims.channel_stride of filter_dims */
  const int8_t *weights;
  const int32_t *bias;
  const int32_t *multiplier;
  const int8_t *shift;
  uint8_t shares_bias; /* whether all subnets have the same one, stored once */
  uint8_t shares_requantisation;
  int32_t scratch; /* bytes into the arena */
  int32_t scratch_bytes;
} reds_linear;

typedef struct {
  reds_status (*kernel)(const reds_context *, const reds_conv_params *,
                        const reds_requantisation *, const reds_dims *, const int8_t *,
                        const reds_dims *, const int8_t *, const int32_t *, const reds_dims *,
                        int8_t *);
  reds_linear layer;
  reds_conv_params params;
} reds_convolution_op;

typedef struct {
  reds_status (*kernel)(const reds_context *, const reds_fc_params *, const reds_requantisation *,
                        const reds_dims *, const int8_t *, const reds_dims *, const int8_t *,
                        const int32_t *, const reds_dims *, int8_t *);
  reds_linear layer;
  reds_fc_params params;
} reds_fully_connected_op;

typedef struct {
  reds_status (*kernel)(const reds_pool_params *, const reds_dims *, const int8_t *,
                        const reds_dims *, const reds_dims *, int8_t *);
  const reds_tensor *input;
  const reds_tensor *output;
  reds_extent window;
  reds_pool_params params;
} reds_pool_op;

typedef struct {
  reds_status (*kernel)(const reds_mean_params *, const reds_dims *, const int8_t *,
                        const reds_dims *, int8_t *);
  const reds_tensor *input;
  const reds_tensor *output;
  reds_mean_params params;
} reds_mean_op;

typedef struct {
  reds_status (*kernel)(const reds_pad_params *, const reds_dims *, const int8_t *,
                        const reds_dims *, int8_t *);
  const reds_tensor *input;
  const reds_tensor *output;
  reds_pad_params params;
} reds_pad_op;

typedef struct {
  reds_status (*kernel)(const int8_t *, const reds_dims *, const int8_t *, const reds_dims *,
                        int8_t *);
  const reds_tensor *input;
  const reds_tensor *output;
  const int8_t *table;
} reds_lookup_op;

typedef struct {
  reds_status (*kernel)(const int32_t *, const reds_dims *, const int8_t *, const reds_dims *,
                        int8_t *);
  const reds_tensor *input;
  const reds_tensor *output;
  const int32_t *table;
} reds_softmax_op;

typedef struct {
  reds_status (*kernel)(const reds_dims *, const int8_t *, const reds_dims *, int8_t *);
  const reds_tensor *input;
  const reds_tensor *output;
} reds_flatten_op;

typedef struct {
  reds_status (*kernel)(const reds_add_params *, const reds_dims *, const int8_t *,
                        const reds_dims *, const int8_t *, const reds_dims *, int8_t *);
  const reds_tensor *input1;
  const reds_tensor *input2;
  const reds_tensor *output;
  reds_add_params params;
} reds_add_op;

typedef struct {
  reds_status (*kernel)(const reds_prelu_params *, const reds_dims *, const int8_t *,
                        const reds_dims *, const int8_t *, const reds_dims *, int8_t *);
  const reds_tensor *input;
  const reds_tensor *output;
  reds_extent slopes; /* {1, 1}, or the positions of the input, each with slopes of its own */
  const int8_t *weights;
  reds_prelu_params params;
} reds_prelu_op;

typedef struct {
  reds_status (*kernel)(const reds_concatenate_params *, const reds_dims *, const int8_t *const *,
                        const reds_dims *, int8_t *);
  const reds_tensor *const *inputs;
  int32_t input_count;
  const reds_tensor *output;
  const reds_run *runs;
  const int32_t *run_counts; /* how many of the runs each subnet copies */
} reds_concatenate_op;

/* Each runs the active subnet of one op of the kind in its name. */
reds_status reds_run_convolution(const reds_state *state, const void *data);
reds_status reds_run_depthwise(const reds_state *state, const void *data);
reds_status reds_run_fully_connected(const reds_state *state, const void *data);
reds_status reds_run_pool(const reds_state *state, const void *data);
reds_status reds_run_mean(const reds_state *state, const void *data);
reds_status reds_run_pad(const reds_state *state, const void *data);
reds_status reds_run_lookup(const reds_state *state, const void *data);
reds_status reds_run_softmax(const reds_state *state, const void *data);
reds_status reds_run_flatten(const reds_state *state, const void *data);
reds_status reds_run_add(const reds_state *state, const void *data);
reds_status reds_run_prelu(const reds_state *state, const void *data);

/* With memory for the shape and the address of each input. */
reds_status reds_run_concatenate(const reds_state *state, const void *data, reds_dims *input_dims,
                                 const int8_t **inputs);

#ifdef __cplusplus
}
#endif
#endif /* REDS_OPS_H_ */
