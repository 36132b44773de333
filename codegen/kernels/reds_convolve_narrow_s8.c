#include "reds_expand.h"

/* A row of taps is one group of four inputs, which one load reads in full. Where taps lie beyond
 * the left or right border, it reads a neighbour, and what it read is cleared; beside the tensor,
 * only the bytes inside are read. */

#define ROW_UNITS reds_units(REDS_GROUP_INPUTS) /* of a row of taps in a patch */
#define ROW_WORDS (ROW_UNITS * REDS_UNIT_WORDS)

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
  uint32_t added;      /* what expand_row adds: the input offset, twice, or padding */
  uint32_t padding;    /* a word of it in a patch */
  const int8_t *begin; /* of the input */
  const int8_t *end;   /* the last address from which four bytes of it can be read */
} window_row;

#if defined(REDS_MVE)

typedef uint32_t row_mask; /* of bytes */

static const row_mask all_inside = UINT32_MAX;

static inline row_mask make_row_mask(uint32_t bytes) { return bytes; }

static inline uint32_t added_word(int32_t input_offset) { return reds_padding(input_offset); }

/* Expands one row of taps; inputs that `inside` clears become padding. */
static inline void expand_row(uint32_t word, uint32_t padding, row_mask inside, uint32_t *lane) {
  word = (word & inside) | (padding & ~inside);
  const uint32_t differing = (word ^ word >> 8) & 0xFF00u;
  *lane = word ^ differing ^ differing << 8; /* the middle bytes in exchange */
}

#else

typedef struct {
  uint32_t even;
  uint32_t odd;
} row_mask;

static const row_mask all_inside = {UINT32_MAX, UINT32_MAX};

static inline row_mask make_row_mask(uint32_t bytes) {
  const row_mask mask = {reds_add_even_bytes(0, bytes), reds_add_odd_bytes(0, bytes)};
  return mask;
}

static inline uint32_t added_word(int32_t input_offset) {
  return reds_pack(input_offset, input_offset);
}

/* Expands one row of taps; inputs that `inside` clears become padding. */
static inline void expand_row(uint32_t word, uint32_t offsets, row_mask inside, uint32_t *lane) {
  lane[0] = reds_add_even_bytes(offsets, word) & inside.even;
  lane[REDS_UNIT_WORDS] = reds_add_odd_bytes(offsets, word) & inside.odd;
}

#endif

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
                          .added = added_word(params->input_offset),
                          .padding = reds_padding(params->input_offset),
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

/* Expands the rows inside the input; two in a turn. */
static inline void expand_rows(const window_row *row, row_mask inside, uint32_t *lane) {
  const int32_t row_step = row->row_step;
  const uint32_t added = row->added;
  const int8_t *source = row->source, *end = source + (row->count & ~1) * row_step;
  for (; source != end; lane += 2 * ROW_WORDS) {
    expand_row(reds_load_word(source), added, inside, lane);
    source += row_step;
    expand_row(reds_load_word(source), added, inside, lane + ROW_WORDS);
    source += row_step;
  }
  if ((row->count & 1) != 0) expand_row(reds_load_word(source), added, inside, lane);
}

/* A window across the left or right border. */
static REDS_NOINLINE void expand_border(const window_row *row, uint32_t *lane) {
  const uint32_t mask = inside_mask(row->left, row->bytes);
  const row_mask inside = make_row_mask(mask);
  const int8_t *source = row->source, *end = source + row->count * row->row_step;
  if (source >= row->begin && end - row->row_step <= row->end) {
    expand_rows(row, inside, lane);
    return;
  }
  for (; source != end; source += row->row_step, lane += ROW_WORDS) {
    expand_row(load_masked(source, mask), row->added, inside, lane);
  }
}

static uint32_t *clear(int32_t rows, uint32_t padding, uint32_t *lane) {
  for (int32_t units = ROW_UNITS * rows; units > 0; --units, lane += REDS_UNIT_WORDS) {
    *lane = padding;
  }
  return lane;
}

/* Expands the next window into the lane of one position. */
static inline void expand_next(window_row *row, uint32_t *lane) {
  if (row->above > 0) lane = clear(row->above, row->padding, lane);
  if (row->left < 0 || row->left + 4 > row->bytes) {
    expand_border(row, lane);
  } else {
    expand_rows(row, all_inside, lane);
  }
  if (row->below > 0) clear(row->below, row->padding, lane + row->count * ROW_WORDS);
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
  reds_prepare(&product, filter_dims, filter, &outputs, params->input_offset, output_dims, context);
  const int32_t patch_words = reds_patch_words(&product.rows);
  int32_t lane = 0;
  for (int32_t y = 0; y < output_dims->height; ++y) {
    window_row row = row_at(params, input_dims, input, filter_dims, y);
    for (int32_t x = 0; x < output_dims->width; ++x) {
      expand_next(&row, product.patches + lane * patch_words);
      if (++lane < REDS_POSITIONS) continue;
      reds_multiply_patches(&product, REDS_POSITIONS, output);
      output += REDS_POSITIONS * product.stride;
      lane = 0;
    }
  }
  if (lane > 0) reds_multiply_patches(&product, lane, output);
  return REDS_OK;
}
