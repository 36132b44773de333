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

/* The bytes of a row of taps that are inside the input, and what is added to its two halves. */
typedef struct {
  uint32_t inside;
  uint32_t even;
  uint32_t odd;
} row_mask;

#if defined(REDS_MVE)

static inline uint32_t added_word(int32_t input_offset) { return reds_padding(input_offset); }

static inline row_mask mask_row(uint32_t inside, uint32_t padding) {
  const row_mask mask = {inside, padding & ~inside, 0};
  return mask;
}

/* The same of all bytes. */
static inline row_mask all_inside(REDS_UNUSED uint32_t padding) {
  const row_mask mask = {UINT32_MAX, 0, 0};
  return mask;
}

/* Expands one row of taps; inputs that are not inside become padding. */
static inline void expand_row(uint32_t word, row_mask mask, uint32_t *lane) {
  word = (word & mask.inside) + mask.even;
  const uint32_t differing = (word ^ word >> 8) & 0xFF00u;
  *lane = word ^ differing ^ differing << 8; /* the middle bytes in exchange */
}

#else

static inline uint32_t added_word(int32_t input_offset) {
  return reds_pack(input_offset, input_offset);
}

static inline row_mask mask_row(uint32_t inside, uint32_t offsets) {
  const row_mask mask = {inside, reds_add_even_bytes(0, inside) & offsets,
                         reds_add_odd_bytes(0, inside) & offsets};
  return mask;
}

/* The same of all bytes. */
static inline row_mask all_inside(uint32_t offsets) {
  const row_mask mask = {UINT32_MAX, offsets, offsets};
  return mask;
}

/* Expands one row of taps; inputs that are not inside become padding. */
static inline void expand_row(uint32_t word, row_mask mask, uint32_t *lane) {
  word &= mask.inside;
  lane[0] = reds_add_even_bytes(mask.even, word);
  lane[REDS_UNIT_WORDS] = reds_add_odd_bytes(mask.odd, word);
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
static REDS_COLD uint32_t load_masked(const int8_t *source, uint32_t mask) {
  uint32_t word = 0;
  for (int32_t i = 0; i < 4; ++i) {
    if ((mask >> (8 * i) & 1) != 0) word |= (uint32_t)(uint8_t)source[i] << (8 * i);
  }
  return word;
}

/* Padding for `rows` rows of taps. */
static REDS_COLD void clear(int32_t rows, uint32_t padding, uint32_t *lane) {
  for (int32_t units = ROW_UNITS * rows; units > 0; --units, lane += REDS_UNIT_WORDS) {
    *lane = padding;
  }
}

/* Rows of taps of one window, and where they go. */
typedef struct {
  const int8_t *source;
  int32_t count;
  uint32_t *lane;
} row_run;

/* Takes the next window: padding for its rows outside the input; returns those inside. */
static inline row_run next_window(window_row *row, uint32_t *lane) {
  row_run rows = {row->source, row->count, lane};
  row->source += row->step;
  row->left += row->step;
  if (row->below > 0) {
    clear(row->below, row->padding, lane + (row->above + rows.count) * ROW_WORDS);
  }
  if (row->above > 0) {
    clear(row->above, row->padding, lane);
    rows.lane += row->above * ROW_WORDS;
  }
  return rows;
}

/* Expands the first and last rows where they reach beyond the tensor; returns the others. */
static inline row_run expand_ends(const window_row *row, row_run rows, row_mask mask) {
  const int32_t step = row->row_step;
  for (; rows.count > 0 && rows.source < row->begin; --rows.count) {
    expand_row(load_masked(rows.source, mask.inside), mask, rows.lane);
    rows.source += step;
    rows.lane += ROW_WORDS;
  }
  for (; rows.count > 0; --rows.count) {
    const int32_t last = rows.count - 1;
    const int8_t *source = rows.source + last * step;
    if (source <= row->end) break;
    expand_row(load_masked(source, mask.inside), mask, rows.lane + last * ROW_WORDS);
  }
  return rows;
}

#if defined(REDS_DSP) && !defined(REDS_MVE)

/* Two rows inside the tensor; returns where the next begin. */
static inline row_run expand_two(row_run rows, int32_t step, row_mask mask) {
  uint32_t first, second, half;
  __asm__ volatile(
      "ldr %[first], [%[source]]\n\t"
      "ldr %[second], [%[source], %[step]]\n\t"
      "add %[source], %[source], %[step], lsl #1\n\t"
      "and %[first], %[inside]\n\t"
      "and %[second], %[inside]\n\t"
      "sxtab16 %[half], %[even], %[first]\n\t"
      "sxtab16 %[first], %[odd], %[first], ror #8\n\t"
      "str %[half], [%[lane]], #16\n\t"
      "str %[first], [%[lane]], #16\n\t"
      "sxtab16 %[half], %[even], %[second]\n\t"
      "sxtab16 %[second], %[odd], %[second], ror #8\n\t"
      "str %[half], [%[lane]], #16\n\t"
      "str %[second], [%[lane]], #16\n\t"
      : [source] "+&r"(rows.source), [lane] "+&r"(rows.lane), [first] "=&r"(first),
        [second] "=&r"(second), [half] "=&r"(half)
      : [step] "r"(step), [inside] "r"(mask.inside), [even] "r"(mask.even), [odd] "r"(mask.odd)
      : "memory");
  return rows;
}

#else

static inline row_run expand_two(row_run rows, int32_t step, row_mask mask) {
  expand_row(reds_load_word(rows.source), mask, rows.lane);
  expand_row(reds_load_word(rows.source + step), mask, rows.lane + ROW_WORDS);
  rows.source += 2 * step;
  rows.lane += 2 * ROW_WORDS;
  return rows;
}

#endif

/* Expands rows inside the tensor, two in a turn. */
static inline void expand_rows(row_run rows, int32_t step, row_mask mask) {
  if ((rows.count & 1) != 0) {
    expand_row(reds_load_word(rows.source), mask, rows.lane);
    rows.source += step;
    rows.lane += ROW_WORDS;
  }
  for (int32_t pairs = rows.count >> 1; pairs > 0; --pairs) {
    rows = expand_two(rows, step, mask);
  }
}

/* Expands the next windows of the row into as many lanes. */
static REDS_NOINLINE void expand_next(window_row *row, int32_t windows, int32_t patch_words,
                                      uint32_t *lane) {
  for (; windows > 0; --windows, lane += patch_words) {
    const int32_t step = row->row_step, left = row->left;
    row_run rows = next_window(row, lane);
    row_mask mask = all_inside(row->added);
    if (left < 0 || left > row->last) {
      mask = mask_row(inside_mask(left, row->bytes), row->added);
      rows = expand_ends(row, rows, mask);
    }
    expand_rows(rows, step, mask);
  }
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
    for (int32_t left = output_dims->width, count; left > 0; left -= count) {
      count = left < REDS_POSITIONS - lane ? left : REDS_POSITIONS - lane;
      expand_next(&row, count, patch_words, product.patches + lane * patch_words);
      lane += count;
      if (lane < REDS_POSITIONS) continue;
      reds_multiply_patches(&product, REDS_POSITIONS, output);
      output += REDS_POSITIONS * product.stride;
      lane = 0;
    }
  }
  if (lane > 0) reds_multiply_patches(&product, lane, output);
  return REDS_OK;
}
