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
  int32_t last;        /* `left` of a window whose taps end with the row */
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
  return reds_patch_scratch(filter_dims);
}

static int arguments_valid(const reds_call *call) {
  const reds_dims *input = call->input_dims, *filter = call->filter_dims;
  return reds_packed_valid(call->filter) && filter->channels == input->channels &&
         filter->channels == filter->channel_stride && input->channels == input->channel_stride &&
         filter->channels * (int64_t)filter->width == 4 && call->params->dilation.width == 1 &&
         reds_scratch_valid(call->context, reds_patch_scratch(filter));
}

/* What all rows have in common. */
static void make_rows(const reds_call *call, window_row *row) {
  const reds_conv_params *params = call->params;
  const int32_t channels = call->input_dims->channels, bytes = call->input_dims->width * channels;
  row->row_step = params->dilation.height * bytes;
  row->step = params->stride.width * channels;
  row->bytes = bytes;
  row->last = bytes - REDS_GROUP_INPUTS;
  row->added = added_word(params->input_offset);
  row->padding = reds_padding(params->input_offset);
  row->begin = call->input;
  row->end = call->input + call->input_dims->height * bytes - 4;
}

static REDS_NOINLINE void start_row(const reds_call *call, int32_t y, window_row *row) {
  const reds_conv_params *params = call->params;
  const int32_t height = call->filter_dims->height, dilation = params->dilation.height;
  const int32_t top = y * params->stride.height - params->padding.height;
  const reds_taps rows = reds_clip(top, height, dilation, call->input_dims->height);
  row->left = -params->padding.width * call->input_dims->channels;
  row->source = call->input + row->left + (top + rows.first * dilation) * row->bytes;
  row->above = rows.first;
  row->count = rows.last - rows.first;
  row->below = height - rows.last;
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

/* Expands `count` rows inside the input; two in a turn. */
static inline void expand_rows(const window_row *row, const int8_t *source, int32_t count,
                               row_mask inside, uint32_t *lane) {
  const int32_t row_step = row->row_step;
  const uint32_t added = row->added;
  const int8_t *end = source + (count & ~1) * row_step;
  for (; source != end; lane += 2 * ROW_WORDS) {
    expand_row(reds_load_word(source), added, inside, lane);
    source += row_step;
    expand_row(reds_load_word(source), added, inside, lane + ROW_WORDS);
    source += row_step;
  }
  if ((count & 1) != 0) expand_row(reds_load_word(source), added, inside, lane);
}

/* Expands a row of taps that reaches beyond the tensor. */
static REDS_COLD void expand_end(const int8_t *source, uint32_t mask, uint32_t added,
                                 uint32_t *lane) {
  expand_row(load_masked(source, mask), added, make_row_mask(mask), lane);
}

/* A window across the left or right border. */
static REDS_NOINLINE void expand_border(const window_row *row, uint32_t *lane) {
  const uint32_t mask = inside_mask(row->left, row->bytes);
  const int32_t step = row->row_step;
  const int8_t *source = row->source;
  int32_t count = row->count;
  for (; count > 0 && source < row->begin; --count, source += step, lane += ROW_WORDS) {
    expand_end(source, mask, row->added, lane);
  }
  for (; count > 0 && source + (count - 1) * step > row->end; --count) {
    expand_end(source + (count - 1) * step, mask, row->added, lane + (count - 1) * ROW_WORDS);
  }
  expand_rows(row, source, count, make_row_mask(mask), lane);
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
  if (row->left < 0 || row->left > row->last) {
    expand_border(row, lane);
  } else {
    expand_rows(row, row->source, row->count, all_inside, lane);
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
  const reds_call call = {context,     params, requantisation, input_dims,  input,
                          filter_dims, filter, bias,           output_dims, output};
  if (!reds_call_valid(&call) || !arguments_valid(&call)) return REDS_ERROR_ARGUMENT;
  reds_product product;
  reds_prepare(&product, &call);
  const int32_t patch_words = reds_patch_words(&product.rows);
  window_row row;
  make_rows(&call, &row);
  int32_t lane = 0;
  for (int32_t y = 0; y < output_dims->height; ++y) {
    start_row(&call, y, &row);
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
