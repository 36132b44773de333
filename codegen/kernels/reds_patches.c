#include "reds_patches.h"

#include "reds_expand.h"

/* The window of one output position: where it starts, and its taps that are inside the input. */
typedef struct {
  int32_t x;
  int32_t top;
  int32_t left;
  const int8_t *source; /* may lie outside */
  reds_taps rows;
  reds_taps columns;
} window;

reds_windows reds_make_windows(const reds_conv_params *params, const reds_dims *input,
                               const reds_dims *filter, const reds_dims *output) {
  const reds_rows rows = reds_active_rows(filter);
  const reds_windows windows = {params,
                                input,
                                filter,
                                output,
                                reds_tap_halves(filter) > 0 ? reds_units(filter->channels) : 0,
                                params->dilation.width * input->channel_stride,
                                params->dilation.height * input->width * input->channel_stride,
                                reds_patch_words(&rows),
                                reds_padding(params->input_offset)};
  return windows;
}

int32_t reds_tap_halves(const reds_dims *filter) {
  const int cut = filter->channels != filter->channel_stride;
  return cut || filter->channels % 4 == 0 ? reds_halves(filter->channels) : 0;
}

int64_t reds_window_bytes(const reds_dims *filter) {
  if (reds_tap_halves(filter) > 0) return 0;
  return (int64_t)filter->height * filter->width * filter->channels;
}

/* reds_clip, quick for the many windows that are all inside. */
static inline reds_taps clip(int32_t origin, int32_t kernel, int32_t dilation, int32_t size) {
  const reds_taps all = {0, kernel};
  if (origin >= 0 && origin + (kernel - 1) * dilation < size) return all;
  return reds_clip(origin, kernel, dilation, size);
}

static inline void clip_rows(const reds_windows *c, window *w) {
  w->rows = clip(w->top, c->filter->height, c->params->dilation.height, c->input->height);
}

static inline void clip_columns(const reds_windows *c, window *w) {
  w->columns = clip(w->left, c->filter->width, c->params->dilation.width, c->input->width);
}

static window window_at(const reds_windows *c, const int8_t *input, int32_t position) {
  const reds_conv_params *p = c->params;
  const int32_t y = position / c->output->width;
  window w = {.x = position - y * c->output->width};
  w.top = y * p->stride.height - p->padding.height;
  w.left = w.x * p->stride.width - p->padding.width;
  w.source = input + (w.top * c->input->width + w.left) * c->input->channel_stride;
  clip_rows(c, &w);
  clip_columns(c, &w);
  return w;
}

static inline void next_window(const reds_windows *c, window *w) {
  const reds_conv_params *p = c->params;
  int32_t step = p->stride.width;
  w->left += step;
  if (++w->x == c->output->width) {
    step += p->stride.height * c->input->width - c->output->width * p->stride.width;
    w->x = 0;
    w->left = -p->padding.width;
    w->top += p->stride.height;
    clip_rows(c, w);
  }
  w->source += step * c->input->channel_stride;
  clip_columns(c, w);
}

static int has_tap(reds_taps taps, int32_t tap) { return tap >= taps.first && tap < taps.last; }

static int is_full(reds_taps taps, int32_t count) { return taps.last - taps.first == count; }

/* Padding in the lane of one position. */
static uint32_t *clear(int32_t units, uint32_t padding, uint32_t *lane) {
  for (; units > 0; --units, lane += REDS_UNIT_WORDS) *lane = padding;
  return lane;
}

/* A window tap by tap. */
static void expand_by_taps(const reds_windows *c, const window *w, uint32_t *lane) {
  const int32_t units = c->tap_units, width = c->filter->width, step = c->tap_step;
  lane = clear(w->rows.first * width * units, c->padding, lane);
  const int8_t *row = w->source + w->rows.first * c->row_step + w->columns.first * step;
  for (int32_t y = w->rows.first; y < w->rows.last; ++y, row += c->row_step) {
    const int8_t *source = row;
    lane = clear(w->columns.first * units, c->padding, lane);
    for (int32_t x = w->columns.first; x < w->columns.last; ++x, source += step) {
      lane = reds_expand(source, c->filter->channels, c->params->input_offset, lane);
    }
    lane = clear((width - w->columns.last) * units, c->padding, lane);
  }
  clear((c->filter->height - w->rows.last) * width * units, c->padding, lane);
}

/* Any window: its bytes are gathered first, padding as the zero point. */
static void expand_gathered(const reds_windows *c, const window *w, int8_t *gathered,
                            uint32_t *lane) {
#if defined(REDS_MVE)
  gathered = (int8_t *)lane; /* in place: both are bytes */
#endif
  const int32_t channels = c->filter->channels, step = c->tap_step;
  const int32_t bytes = (int32_t)reds_window_bytes(c->filter);
  const int32_t taps = step == channels ? w->columns.last - w->columns.first : 1;
  if (!is_full(w->rows, c->filter->height) || !is_full(w->columns, c->filter->width)) {
    __builtin_memset(gathered, -c->params->input_offset, (size_t)bytes);
  }
  for (int32_t y = w->rows.first; y < w->rows.last; ++y) {
    for (int32_t x = w->columns.first; x < w->columns.last; x += taps) {
      __builtin_memcpy(gathered + (y * c->filter->width + x) * channels,
                       w->source + y * c->row_step + x * step, (size_t)(taps * channels));
    }
  }
  reds_expand(gathered, bytes, c->params->input_offset, lane);
}

/* Whether four windows are neighbours of one row, and all their taps are inside. */
static int are_inside(const reds_windows *c, const window four[REDS_POSITIONS]) {
  const window *last = four + REDS_POSITIONS - 1;
  return last->x == four->x + REDS_POSITIONS - 1 && is_full(four->rows, c->filter->height) &&
         is_full(four->columns, c->filter->width) && is_full(last->columns, c->filter->width);
}

/* `taps` taps side by side of such windows at once; returns where the next begin. */
static uint32_t *expand_inside(const reds_windows *c, const int8_t *source, int32_t taps,
                               int32_t patch_words, uint32_t *patches) {
  return reds_expand_four(source, taps * c->filter->channels,
                          c->params->stride.width * c->input->channel_stride,
                          c->params->input_offset, patch_words, patches);
}

/* All taps of such windows; whole groups that lie side by side are expanded together. */
static void expand_all_inside(const reds_windows *c, const int8_t *row, uint32_t *patches) {
  const int whole = c->tap_step == c->filter->channels && c->filter->channels % 4 == 0;
  const int32_t taps = whole ? c->filter->width : 1;
  for (int32_t y = 0; y < c->filter->height; ++y, row += c->row_step) {
    for (int32_t tap = 0; tap < c->filter->width; tap += taps) {
      patches = expand_inside(c, row + tap * c->tap_step, taps, c->patch_words, patches);
    }
  }
}

static void four_windows(const reds_windows *c, const int8_t *input, int32_t first, int32_t count,
                         window four[REDS_POSITIONS]) {
  four[0] = window_at(c, input, first);
  for (int32_t lane = 1; lane < REDS_POSITIONS; ++lane) {
    four[lane] = four[lane - 1];
    if (lane < count) next_window(c, four + lane);
  }
}

void reds_expand_windows(const reds_windows *c, const int8_t *input, int32_t first, int32_t count,
                         int8_t *gathered, uint32_t *patches) {
  window four[REDS_POSITIONS];
  four_windows(c, input, first, count, four);
  if (c->tap_units > 0 && are_inside(c, four)) {
    expand_all_inside(c, four->source, patches);
    return;
  }
  for (int32_t lane = 0; lane < REDS_POSITIONS; ++lane) {
    if (c->tap_units > 0) {
      expand_by_taps(c, four + lane, patches + lane * c->patch_words);
    } else {
      expand_gathered(c, four + lane, gathered, patches + lane * c->patch_words);
    }
  }
}

/* Taps `tap` .. `tap` + `taps` - 1 of one window. */
static void expand_some(const reds_windows *c, const window *w, int32_t tap, int32_t taps,
                        uint32_t *lane) {
  for (int32_t t = tap; t < tap + taps; ++t) {
    const int32_t y = t / c->filter->width, x = t - y * c->filter->width;
    if (has_tap(w->rows, y) && has_tap(w->columns, x)) {
      lane = reds_expand(w->source + y * c->row_step + x * c->tap_step, c->filter->channels,
                         c->params->input_offset, lane);
    } else {
      lane = clear(c->tap_units, c->padding, lane);
    }
  }
}

void reds_expand_taps(const reds_windows *c, const int8_t *input, int32_t first, int32_t count,
                      int32_t tap, int32_t taps, uint32_t *patches) {
  window four[REDS_POSITIONS];
  four_windows(c, input, first, count, four);
  const reds_rows rows = reds_tap_rows(c->filter, taps);
  const int32_t patch_words = reds_patch_words(&rows);
  if (are_inside(c, four)) {
    for (int32_t t = tap; t < tap + taps; ++t) {
      const int32_t y = t / c->filter->width, x = t - y * c->filter->width;
      const int8_t *source = four->source + y * c->row_step + x * c->tap_step;
      patches = expand_inside(c, source, 1, patch_words, patches);
    }
    return;
  }
  for (int32_t lane = 0; lane < REDS_POSITIONS; ++lane) {
    expand_some(c, four + lane, tap, taps, patches + lane * patch_words);
  }
}
