#include "reds_expand.h"

#if defined(REDS_DSP) && !defined(REDS_MVE)
#include "reds_two_dsp.h"
#endif

size_t reds_convolve_1x1_small_s8_get_least_buffer_size(const reds_dims *filter_dims) {
  return reds_fully_connected_s8_get_buffer_size(filter_dims);
}

size_t reds_convolve_1x1_small_s8_get_buffer_size(const reds_dims *filter_dims) {
  return 2 * reds_convolve_1x1_small_s8_get_least_buffer_size(filter_dims);
}

static int arguments_valid(const reds_call *call) {
  const reds_dims *input = call->input_dims, *output = call->output_dims;
  const size_t least = reds_convolve_1x1_small_s8_get_least_buffer_size(call->filter_dims);
  return reds_packed_valid(call->filter) && reds_is_pointwise(call) &&
         call->filter_dims->channels == input->channels && input->height == output->height &&
         input->width == output->width && reds_scratch_valid(call->context, least);
}

/* The positions that are left, in the order in which they are made: with negative steps from the
 * last to the first, where the outputs are smaller. */
typedef struct {
  const int8_t *input;
  int8_t *output;
  int32_t input_step;
  int32_t output_step;
  int32_t left;
} reds_walk;

static reds_walk start_walk(const reds_call *call) {
  const reds_dims *from = call->input_dims, *to = call->output_dims;
  const int32_t positions = from->height * from->width;
  reds_walk walk = {call->input, call->output, from->channel_stride, to->channel_stride, positions};
  if (to->channel_stride < from->channel_stride) {
    walk.input += (positions - 1) * walk.input_step;
    walk.output += (positions - 1) * walk.output_step;
    walk.input_step = -walk.input_step;
    walk.output_step = -walk.output_step;
  }
  return walk;
}

static void advance(reds_walk *walk, int32_t positions) {
  walk->input += positions * walk->input_step;
  walk->output += positions * walk->output_step;
  walk->left -= positions;
}

/* All pairs of positions, where the scratch holds two and the fast requantisation does; else
 * none. */
static void convolve_pairs(REDS_UNUSED const reds_call *call, REDS_UNUSED reds_walk *walk) {
#if defined(REDS_DSP) && !defined(REDS_MVE)
  reds_product product;
  if (call->context->size < reds_convolve_1x1_small_s8_get_buffer_size(call->filter_dims)) return;
  reds_prepare(&product, call);
  reds_four *four = &product.four;
  if (product.multiply_four == NULL || four->count > 1 || four->lookup != NULL) return;
  if (product.channels % 2 != 0) return;
  const int32_t length = product.rows.length, offset = product.input_offset;
  four->stride = walk->output_step;
  for (; walk->left > 1; advance(walk, 2)) {
    reds_expand_halves(walk->input, length, offset, 2, product.patches);
    reds_expand_halves(walk->input + walk->input_step, length, offset, 2, product.patches + 1);
    four->output = walk->output;
    reds_multiply_two(four);
  }
#endif
}

/* The positions that are left, as vectors. */
static reds_status convolve_vectors(const reds_call *call, reds_walk *walk) {
  const reds_conv_params *params = call->params;
  const reds_fc_params fc_params = {params->input_offset, params->output_offset,
                                    params->activation, params->lookup};
  reds_dims from = *call->input_dims, to = *call->output_dims;
  from.height = from.width = to.height = to.width = 1;
  reds_status status = REDS_OK;
  for (; walk->left > 0 && status == REDS_OK; advance(walk, 1)) {
    status = reds_fully_connected_s8(call->context, &fc_params, call->requantisation, &from,
                                     walk->input, call->filter_dims, call->filter, call->bias, &to,
                                     walk->output);
  }
  return status;
}

reds_status reds_convolve_1x1_small_s8(const reds_context *context, const reds_conv_params *params,
                                       const reds_requantisation *requantisation,
                                       const reds_dims *input_dims, const int8_t *input,
                                       const reds_dims *filter_dims, const int8_t *filter,
                                       const int32_t *bias, const reds_dims *output_dims,
                                       int8_t *output) {
  const reds_call call = {context,     params, requantisation, input_dims,  input,
                          filter_dims, filter, bias,           output_dims, output};
  if (!reds_call_valid(&call) || !arguments_valid(&call)) return REDS_ERROR_ARGUMENT;
  reds_walk walk = start_walk(&call);
  convolve_pairs(&call, &walk);
  return convolve_vectors(&call, &walk);
}
