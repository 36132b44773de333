#include "reds_patches.h"

size_t reds_convolve_s8_get_buffer_size(const reds_dims *filter_dims) {
  if (!reds_dims_valid(filter_dims)) return 0;
  return reds_scratch_size(reds_patch_bytes(filter_dims) + reds_window_bytes(filter_dims));
}

/* The patches of one tap. */
static int64_t tap_bytes(const reds_dims *filter) {
  return (int64_t)reds_tap_halves(filter) * REDS_HALF_WORDS * (int64_t)sizeof(uint32_t);
}

static int64_t sums_bytes(const reds_dims *output) {
  return ((int64_t)output->channels + 1) / 2 * (int64_t)sizeof(reds_block);
}

size_t reds_convolve_s8_get_least_buffer_size(const reds_dims *filter_dims,
                                              const reds_dims *output_dims) {
  const size_t all = reds_convolve_s8_get_buffer_size(filter_dims);
  if (all == 0 || !reds_dims_valid(output_dims) || tap_bytes(filter_dims) == 0) return all;
  const size_t least = reds_scratch_size(tap_bytes(filter_dims) + sums_bytes(output_dims));
  return least < all ? least : all;
}

static int arguments_valid(const reds_call *call) {
  const reds_dims *filter = call->filter_dims;
  const size_t least = reds_convolve_s8_get_least_buffer_size(filter, call->output_dims);
  return reds_packed_valid(call->filter) && filter->channels == call->input_dims->channels &&
         reds_scratch_valid(call->context, least);
}

/* A few taps at a time, which add to sums of all row pairs in scratch. */
static void convolve_in_parts(const reds_windows *windows, reds_product *product,
                              const int8_t *input, size_t scratch_bytes, int8_t *output) {
  const reds_dims *filter = windows->filter;
  const int32_t taps = filter->height * filter->width;
  const int32_t positions = windows->output->height * windows->output->width;
  reds_block *sums = (reds_block *)product->patches;
  product->patches += sums_bytes(windows->output) / (int64_t)sizeof(uint32_t);
  const int32_t room = (int32_t)(scratch_bytes - (size_t)sums_bytes(windows->output));
  const int32_t most = room / (int32_t)tap_bytes(filter); /* at least one */
  for (int32_t next = 0; next < positions; next += REDS_POSITIONS) {
    const int32_t left = positions - next;
    const int32_t count = left < REDS_POSITIONS ? left : REDS_POSITIONS;
    reds_start_sums(product, sums);
    for (int32_t tap = 0; tap < taps; tap += most) {
      const int32_t here = taps - tap < most ? taps - tap : most;
      const reds_rows part = reds_tap_rows(filter, here);
      reds_expand_taps(windows, input, next, count, tap, here, product->patches);
      reds_add_products(product, &part, tap, sums);
    }
    reds_output_sums(product, sums, count, output + next * product->stride);
  }
}

/* Four positions at a time; the last four overlap those before them. */
static void convolve(const reds_windows *windows, reds_product *product, const int8_t *input,
                     int8_t *output) {
  int8_t *gathered = (int8_t *)product->patches + reds_patch_bytes(windows->filter);
  const int32_t positions = windows->output->height * windows->output->width;
  const int32_t most = positions - REDS_POSITIONS;
  const int32_t count = most < 0 ? positions : REDS_POSITIONS;
  for (int32_t next = 0; next < positions; next += REDS_POSITIONS) {
    const int32_t first = next < most || most < 0 ? next : most;
    reds_expand_windows(windows, input, first, count, gathered, product->patches);
    reds_multiply_patches(product, count, output + first * product->stride);
  }
}

reds_status reds_convolve_s8(const reds_context *context, const reds_conv_params *params,
                             const reds_requantisation *requantisation, const reds_dims *input_dims,
                             const int8_t *input, const reds_dims *filter_dims,
                             const int8_t *filter, const int32_t *bias,
                             const reds_dims *output_dims, int8_t *output) {
  const reds_call call = {context,     params, requantisation, input_dims,  input,
                          filter_dims, filter, bias,           output_dims, output};
  if (!reds_call_valid(&call) || !arguments_valid(&call)) return REDS_ERROR_ARGUMENT;
  const reds_windows windows = reds_make_windows(params, input_dims, filter_dims, output_dims);
  reds_product product;
  reds_prepare(&product, &call);
  if (context->size >= reds_convolve_s8_get_buffer_size(filter_dims)) {
    convolve(&windows, &product, input, output);
  } else {
    convolve_in_parts(&windows, &product, input, context->size, output);
  }
  return REDS_OK;
}
