/* Patches as the vector instructions read them: the inputs of one position after another as int8,
 * in whole groups, filled up with the zero point. Part of reds_expand.h. */
#ifndef REDS_PATCH_MVE_H_
#define REDS_PATCH_MVE_H_

#include "reds_mve.h"

#define REDS_UNIT_WORDS 1 /* from unit to unit of a patch: from group to group */

static inline int32_t reds_units(int32_t inputs) { return reds_groups(inputs); }

/* Words from the patch of one position to that of the next. */
static inline int32_t reds_patch_words(const reds_rows *rows) {
  return rows->count * reds_groups(rows->length);
}

/* What stands for padding in a word of a patch. */
static inline uint32_t reds_padding(int32_t offset) {
  return 0x01010101u * (uint8_t)-offset;
}

/* Expands one segment; returns where the next segment begins. */
static inline uint32_t *reds_expand(const int8_t *input, int32_t length, int32_t offset,
                                    uint32_t *patch) {
  reds_pack_inputs(input, length, offset, (int8_t *)patch);
  return patch + reds_groups(length);
}

/* Expands one segment of four positions, `stride` bytes apart; returns where the next begins. */
static inline uint32_t *reds_expand_four(const int8_t *input, int32_t length, int32_t stride,
                                         int32_t offset, int32_t patch_words, uint32_t *patches) {
  const int32_t rest = length % 16, sixteens = length - rest;
  int8_t *packed = (int8_t *)patches;
  const int8_t *from = input;
  if (sixteens > 0) {
    for (int32_t i = 0; i < REDS_POSITIONS; ++i, from += stride, packed += 4 * patch_words) {
      reds_pack_sixteens(from, sixteens, packed);
    }
  }
  if (rest > 0) {
    const reds_last_inputs last = reds_make_last(rest, offset);
    packed = (int8_t *)patches + sixteens;
    input += sixteens;
    for (int32_t i = 0; i < REDS_POSITIONS; ++i, input += stride, packed += 4 * patch_words) {
      reds_pack_last(input, &last, packed);
    }
  }
  return patches + reds_groups(length);
}

#endif /* REDS_PATCH_MVE_H_ */
