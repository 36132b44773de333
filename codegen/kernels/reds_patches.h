/* The inputs under four windows of a convolution, as the patches of reds_block.h. Not public. */
#ifndef REDS_PATCHES_H_
#define REDS_PATCHES_H_

#include "reds_block.h"

/* A convolution's fixed shape. */
typedef struct {
  const reds_conv_params *params;
  const reds_dims *input;
  const reds_dims *filter;
  const reds_dims *output;
  int32_t tap_units;   /* of a tap, where each tap is a whole number of units; or 0 */
  int32_t tap_step;    /* bytes from tap to tap in a row of the input */
  int32_t row_step;    /* and from row to row */
  int32_t patch_words; /* from the patch of one position to that of the next */
  uint32_t padding;    /* a word of it */
} reds_windows;

reds_windows reds_make_windows(const reds_conv_params *params, const reds_dims *input,
                               const reds_dims *filter, const reds_dims *output);

/* Halves of one tap, where it is a segment, or a whole number of groups; else 0. */
int32_t reds_tap_halves(const reds_dims *filter);

/* Bytes of scratch for one gathered window; 0 where windows are expanded tap by tap. */
int64_t reds_window_bytes(const reds_dims *filter);

/* Expands `count` (1 to 4) output positions from `first` on; of fewer than four, the last one is
 * repeated. `gathered` is scratch of reds_window_bytes. */
void reds_expand_windows(const reds_windows *windows, const int8_t *input, int32_t first,
                         int32_t count, int8_t *gathered, uint32_t *patches);

/* Likewise only `taps` taps from `tap` on, where windows->tap_units is not 0. */
void reds_expand_taps(const reds_windows *windows, const int8_t *input, int32_t first,
                      int32_t count, int32_t tap, int32_t taps, uint32_t *patches);

#endif /* REDS_PATCHES_H_ */
