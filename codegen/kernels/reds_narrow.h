/* Patches of narrow rows of taps, each one group of four inputs: one input channel under a kernel four
 * wide, as in the first layer of keyword networks. Not public.
 *
 * Every row is read in full by one load; where taps lie beyond the left or right border, that reads
 * a neighbour, or beside the tensor, which is left out. */
#ifndef REDS_NARROW_H_
#define REDS_NARROW_H_

#include "reds_patches.h"

/* The windows of one row of outputs. */
typedef struct {
  const int8_t *source; /* the first tap of the next window, in the first row inside the input */
  int32_t left;         /* of that tap, in bytes of a row */
  int32_t count;        /* rows of taps inside the input */
  int32_t row_step;     /* bytes from one to the next */
  uint32_t offsets;     /* the input offset, twice */
  uint32_t *patches;    /* at the first row inside */
  const int8_t *begin;  /* of the input */
  const int8_t *end;    /* the last address from which four bytes of it can be read */
  int32_t bytes;        /* of a row of the input */
  int32_t step;         /* bytes from window to window */
} reds_narrow;

#define REDS_NARROW_WORDS (2 * REDS_HALF_WORDS) /* of a row of taps in the patches */

static inline int reds_is_narrow(const reds_windows *c) {
  return c->filter->width * c->filter->channels == 4 && c->tap_halves == 0 &&
         c->tap_step == c->filter->channels &&
         c->output->height * c->output->width >= REDS_POSITIONS;
}

static inline reds_narrow reds_narrow_row(const reds_windows *c, const int8_t *input, int32_t y,
                                          uint32_t *patches) {
  const reds_conv_params *p = c->params;
  const int32_t channels = c->input->channel_stride, bytes = c->input->width * channels;
  const int32_t top = y * p->stride.height - p->padding.height;
  const reds_taps rows = reds_clip(top, c->filter->height, p->dilation.height, c->input->height);
  const int32_t left = -p->padding.width * channels;
  const reds_narrow narrow = {.source = input + left + top * bytes + rows.first * c->row_step,
                              .left = left,
                              .count = rows.last - rows.first,
                              .row_step = c->row_step,
                              .offsets = reds_pack(p->input_offset, p->input_offset),
                              .patches = patches + rows.first * REDS_NARROW_WORDS,
                              .begin = input,
                              .end = input + c->input->height * bytes - 4,
                              .bytes = bytes,
                              .step = p->stride.width * channels};
  return narrow;
}

/* The bytes of a row of taps that are inside a row of `bytes` bytes. */
static inline uint32_t reds_narrow_mask(int32_t left, int32_t bytes) {
  if (left <= -4 || left >= bytes) return 0;
  const uint32_t mask = left >= 0 ? UINT32_MAX : UINT32_MAX << (-8 * left);
  return left + 4 <= bytes ? mask : mask & UINT32_MAX >> (8 * (left + 4 - bytes));
}

/* Four bytes, of which only those of `mask` are read. */
static inline uint32_t reds_load_masked(const int8_t *source, uint32_t mask) {
  uint32_t word = 0;
  for (int32_t i = 0; i < 4; ++i) {
    if ((mask >> (8 * i) & 1) != 0) word |= (uint32_t)(uint8_t)source[i] << (8 * i);
  }
  return word;
}

/* Expands one row; inputs where `even` or `odd` is 0 become padding. */
static inline void reds_expand_row(uint32_t word, uint32_t offsets, uint32_t even, uint32_t odd,
                                   uint32_t *lane) {
  lane[0] = reds_add_even_bytes(offsets, word) & even;
  lane[REDS_HALF_WORDS] = reds_add_odd_bytes(offsets, word) & odd;
}

/* Expands the rows of a window; two in a turn. */
static inline void reds_expand_rows(const reds_narrow *narrow, uint32_t even, uint32_t odd,
                                    uint32_t *lane) {
  const int32_t row_step = narrow->row_step;
  const uint32_t offsets = narrow->offsets;
  const int8_t *source = narrow->source, *end = source + (narrow->count & ~1) * row_step;
  for (; source != end; lane += 2 * REDS_NARROW_WORDS) {
    reds_expand_row(reds_load_word(source), offsets, even, odd, lane);
    source += row_step;
    reds_expand_row(reds_load_word(source), offsets, even, odd, lane + REDS_NARROW_WORDS);
    source += row_step;
  }
  if ((narrow->count & 1) != 0) {
    reds_expand_row(reds_load_word(source), offsets, even, odd, lane);
  }
}

/* A window across the left or right border. */
static REDS_NOINLINE void reds_expand_border(const reds_narrow *narrow, uint32_t *lane) {
  const uint32_t mask = reds_narrow_mask(narrow->left, narrow->bytes);
  const uint32_t even = reds_add_even_bytes(0, mask), odd = reds_add_odd_bytes(0, mask);
  const int8_t *source = narrow->source, *end = source + narrow->count * narrow->row_step;
  if (source >= narrow->begin && end - narrow->row_step <= narrow->end) {
    reds_expand_rows(narrow, even, odd, lane);
    return;
  }
  for (; source != end; source += narrow->row_step, lane += REDS_NARROW_WORDS) {
    reds_expand_row(reds_load_masked(source, mask), narrow->offsets, even, odd, lane);
  }
}

/* Expands the next window into lane 0 .. 3. */
static inline void reds_expand_narrow(reds_narrow *narrow, int32_t index) {
  uint32_t *lane = narrow->patches + index;
  if (narrow->left < 0 || narrow->left + 4 > narrow->bytes) {
    reds_expand_border(narrow, lane);
  } else {
    reds_expand_rows(narrow, UINT32_MAX, UINT32_MAX, lane);
  }
  narrow->left += narrow->step;
  narrow->source += narrow->step;
}

/* Padding above and below the input, in one lane. */
static inline void reds_clear_narrow(const reds_windows *c, const reds_narrow *narrow,
                                     uint32_t *patches, int32_t index) {
  uint32_t *first = narrow->patches + index;
  uint32_t *end = patches + c->filter->height * REDS_NARROW_WORDS + index;
  for (uint32_t *lane = patches + index; lane != first; lane += REDS_HALF_WORDS) *lane = 0;
  first += narrow->count * REDS_NARROW_WORDS;
  for (; first != end; first += REDS_HALF_WORDS) *first = 0;
}

#endif /* REDS_NARROW_H_ */
