#include "reds_expand.h"

/* A row of taps is one group of four inputs, which one load reads in full. Where taps lie beyond
 * the left or right border, it reads a neighbour, and what it read is cleared; beside the tensor,
 * only the bytes inside are read. */

#define ROW_WORDS (2 * REDS_HALF_WORDS) /* of a row of taps in the patches */

/* The windows of one row of outputs. */
typedef struct {
  const int8_t *source; /* the first tap of the next window, in the first row inside the input */
  int32_t left;         /* of that tap, in bytes of a row */
  int32_t above;        /* rows of taps above the input */
  int32_t count;        /* rows of taps inside it */
  int32_t below;
  int32_t row_step;    /* bytes from one to the next */
  int32_t step;        /* bytes from window to window */
  int32_t bytes;       /* of a row of the input */
  uint32_t offsets;    /* the input offset, twice */
  const int8_t *begin; /* of the input */
  const int8_t *end;   /* the last address from which four bytes of it can be read */
} window_row;

size_t reds_convolve_narrow_s8_get_buffer_size(const reds_dims *filter_dims) {
  if (!reds_dims_valid(filter_dims)) return 0;
  return reds_scratch_size(reds_patch_bytes(filter_dims));
}

static int arguments_valid(const reds_context *context, const reds_conv_params *params,
                           const reds_dims *input, const reds_dims *filter,
                           const reds_dims *output) {
  return reds_dims_valid(input) && reds_dims_valid(output) &&
         reds_filter_valid(filter, output->channels) && filter->channels == input->channels &&
         reds_conv_params_valid(params, filter, output) && params->dilation.width == 1 &&
         filter->channels == filter->channel_stride && input->channels == input->channel_stride &&
         filter->channels * (int64_t)filter->width == 4 &&
         reds_scratch_valid(context, reds_convolve_narrow_s8_get_buffer_size(filter));
}

static window_row row_at(const reds_conv_params *params, const reds_dims *input_dims,
                         const int8_t *input, const reds_dims *filter_dims, int32_t y) {
  const int32_t channels = input_dims->channels, bytes = input_dims->width * channels;
  const int32_t height = filter_dims->height, dilation = params->dilation.height;
  const int32_t top = y * params->stride.height - params->padding.height;
  const reds_taps rows = reds_clip(top, height, dilation, input_dims->height);
  const int32_t left = -params->padding.width * channels;
  const window_row row = {.source = input + left + (top + rows.first * dilation) * bytes,
                          .left = left,
                          .above = rows.first,
                          .count = rows.last - rows.first,
                          .below = height - rows.last,
                          .row_step = dilation * bytes,
                          .step = params->stride.width * channels,
                          .bytes = bytes,
                          .offsets = reds_pack(params->input_offset, params->input_offset),
                          .begin = input,
                          .end = input + input_dims->height * bytes - 4};
  return row;
}

/* The bytes of a row of taps that are inside a row of the input, as a mask of a word. */
static uint32_t inside_mask(int32_t left, int32_t bytes) {
  if (left <= -4 || left >= bytes) return 0;
  const uint32_t mask = left >= 0 ? UINT32_MAX : UINT32_MAX << (-8 * left);
  return left + 4 <= bytes ? mask : mask & UINT32_MAX >> (8 * (left + 4 - bytes));
}

/* Four bytes, of which only those of `mask` are read. */
static uint32_t load_masked(const int8_t *source, uint32_t mask) {
  uint32_t word = 0;
  for (int32_t i = 0; i < 4; ++i) {
    if ((mask >> (8 * i) & 1) != 0) word |= (uint32_t)(uint8_t)source[i] << (8 * i);
  }
  return word;
}

/* Expands one row of taps; inputs where `even` or `odd` is 0 become padding. */
static inline void expand_row(uint32_t word, uint32_t offsets, uint32_t even, uint32_t odd,
                              uint32_t *lane) {
  lane[0] = reds_add_even_bytes(offsets, word) & even;
  lane[REDS_HALF_WORDS] = reds_add_odd_bytes(offsets, word) & odd;
}

/* Expands the rows inside the input; two in a turn. */
static inline void expand_rows(const window_row *row, uint32_t even, uint32_t odd,
                               uint32_t *lane) {
  const int32_t row_step = row->row_step;
  const uint32_t offsets = row->offsets;
  const int8_t *source = row->source, *end = source + (row->count & ~1) * row_step;
  for (; source != end; lane += 2 * ROW_WORDS) {
    expand_row(reds_load_word(source), offsets, even, odd, lane);
    source += row_step;
    expand_row(reds_load_word(source), offsets, even, odd, lane + ROW_WORDS);
    source += row_step;
  }
  if ((row->count & 1) != 0) expand_row(reds_load_word(source), offsets, even, odd, lane);
}

/* A window across the left or right border. */
static REDS_NOINLINE void expand_border(const window_row *row, uint32_t *lane) {
  const uint32_t mask = inside_mask(row->left, row->bytes);
  const uint32_t even = reds_add_even_bytes(0, mask), odd = reds_add_odd_bytes(0, mask);
  const int8_t *source = row->source, *end = source + row->count * row->row_step;
  if (source >= row->begin && end - row->row_step <= row->end) {
    expand_rows(row, even, odd, lane);
    return;
  }
  for (; source != end; source += row->row_step, lane += ROW_WORDS) {
    expand_row(load_masked(source, mask), row->offsets, even, odd, lane);
  }
}

static uint32_t *clear(int32_t rows, uint32_t *lane) {
  for (int32_t halves = 2 * rows; halves > 0; --halves, lane += REDS_HALF_WORDS) *lane = 0;
  return lane;
}

/* Expands the next window into the lane of one position. */
static inline void expand_next(window_row *row, uint32_t *lane) {
  if (row->above > 0) lane = clear(row->above, lane);
  if (row->left < 0 || row->left + 4 > row->bytes) {
    expand_border(row, lane);
  } else {
    expand_rows(row, UINT32_MAX, UINT32_MAX, lane);
  }
  if (row->below > 0) clear(row->below, lane + row->count * ROW_WORDS);
  row->left += row->step;
  row->source += row->step;
}

reds_status reds_convolve_narrow_s8(const reds_context *context, const reds_conv_params *params,
                                    const reds_requantisation *requantisation,
                                    const reds_dims *input_dims, const int8_t *input,
                                    const reds_dims *filter_dims, const int8_t *filter,
                                    const int32_t *bias, const reds_dims *output_dims,
                                    int8_t *output) {
  if (input == NULL || !reds_packed_valid(filter) || bias == NULL || output == NULL ||
      !reds_requantisation_valid(requantisation) ||
      !arguments_valid(context, params, input_dims, filter_dims, output_dims)) {
    return REDS_ERROR_ARGUMENT;
  }
  const reds_outputs outputs = {bias, requantisation->multiplier, requantisation->shift,
                                params->output_offset, params->activation, params->lookup};
  reds_product product;
  reds_prepare(&product, filter_dims, filter, &outputs, output_dims, context->buffer);
  int32_t lane = 0;
  for (int32_t y = 0; y < output_dims->height; ++y) {
    window_row row = row_at(params, input_dims, input, filter_dims, y);
    for (int32_t x = 0; x < output_dims->width; ++x) {
      expand_next(&row, product.patches + lane);
      if (++lane < REDS_POSITIONS) continue;
      reds_multiply_patches(&product, REDS_POSITIONS, output);
      output += REDS_POSITIONS * product.stride;
      lane = 0;
    }
  }
  if (lane > 0) reds_multiply_patches(&product, lane, output);
  return REDS_OK;
}
