/* Inputs as the patches of reds_block.h: int16 without the zero point. Not public. */
#ifndef REDS_EXPAND_H_
#define REDS_EXPAND_H_

#include "reds_block.h"

/* Two int16 in the order of memory (little-endian). */
static inline uint32_t reds_pack(int32_t low, int32_t high) {
  return (uint32_t)low << 16 >> 16 | (uint32_t)high << 16;
}

#if defined(REDS_MVE)
#include "reds_patch_mve.h"
#else

#define REDS_UNIT_WORDS REDS_HALF_WORDS /* from unit to unit of a patch: here, from half to half */

static inline int32_t reds_units(int32_t inputs) { return reds_halves(inputs); }

/* Words from the patch of one position to that of the next. */
static inline int32_t reds_patch_words(REDS_UNUSED const reds_rows *rows) { return 1; }

/* What stands for padding in a word of a patch. */
static inline uint32_t reds_padding(REDS_UNUSED int32_t offset) { return 0; }

#if defined(REDS_DSP)

/* Expands a group of four inputs into two halves `step` words apart. */
static inline void reds_expand_group(const int8_t *input, int32_t offset, int32_t step,
                                     uint32_t *halves) {
  const uint32_t offsets = reds_pack(offset, offset), word = reds_load_word(input);
  halves[0] = reds_add_even_bytes(offsets, word);
  halves[step] = reds_add_odd_bytes(offsets, word);
}

#else

/* As in reds_dsp.h. */
static inline uint32_t reds_load_word(const int8_t *source) {
  const uint8_t *bytes = (const uint8_t *)source;
  return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static inline uint32_t reds_add_even_bytes(uint32_t offsets, uint32_t word) {
  return reds_pack((int8_t)word + (int16_t)offsets,
                   (int8_t)(word >> 16) + (int16_t)(offsets >> 16));
}

static inline uint32_t reds_add_odd_bytes(uint32_t offsets, uint32_t word) {
  return reds_add_even_bytes(offsets, word >> 8);
}

/* Byte by byte: not every core loads a word from any address. */
static inline void reds_expand_group(const int8_t *input, int32_t offset, int32_t step,
                                     uint32_t *halves) {
  reds_halfword *even = (reds_halfword *)halves, *odd = (reds_halfword *)(halves + step);
  even[0] = (int16_t)(input[0] + offset);
  even[1] = (int16_t)(input[2] + offset);
  odd[0] = (int16_t)(input[1] + offset);
  odd[1] = (int16_t)(input[3] + offset);
}

#endif

/* Expands the last inputs of a segment (1 to 3). */
static inline void reds_expand_rest(const int8_t *input, int32_t rest, int32_t offset, int32_t step,
                                    uint32_t *halves) {
  halves[0] = reds_pack(input[0] + offset, rest > 2 ? input[2] + offset : 0);
  if (rest > 1) halves[step] = reds_pack(input[1] + offset, 0);
}

/* Expands one segment into halves `step` words apart; returns where the next segment begins. */
static inline uint32_t *reds_expand_halves(const int8_t *input, int32_t length, int32_t offset,
                                           int32_t step, uint32_t *halves) {
  for (const int8_t *end = input + (length & ~3); input != end; input += 4, halves += 2 * step) {
    reds_expand_group(input, offset, step, halves);
  }
  const int32_t rest = length & 3;
  if (rest == 0) return halves;
  reds_expand_rest(input, rest, offset, step, halves);
  return halves + (rest < 2 ? rest : 2) * step;
}

/* The same in the patches. */
static inline uint32_t *reds_expand(const int8_t *input, int32_t length, int32_t offset,
                                    uint32_t *patch) {
  return reds_expand_halves(input, length, offset, REDS_HALF_WORDS, patch);
}

#if defined(REDS_DSP)

/* Expands one segment of four positions, `stride` bytes apart; returns where the next begins. */
static inline uint32_t *reds_expand_four(const int8_t *input, int32_t length, int32_t stride,
                                         int32_t offset, REDS_UNUSED int32_t patch_words,
                                         uint32_t *patches) {
  const uint32_t offsets = reds_pack(offset, offset);
  for (const int8_t *end = input + (length & ~3); input != end; input += 4, patches += 8) {
    const uint32_t a = reds_load_word(input), b = reds_load_word(input + stride);
    const uint32_t c = reds_load_word(input + 2 * stride), d = reds_load_word(input + 3 * stride);
    patches[0] = reds_add_even_bytes(offsets, a);
    patches[1] = reds_add_even_bytes(offsets, b);
    patches[2] = reds_add_even_bytes(offsets, c);
    patches[3] = reds_add_even_bytes(offsets, d);
    patches[4] = reds_add_odd_bytes(offsets, a);
    patches[5] = reds_add_odd_bytes(offsets, b);
    patches[6] = reds_add_odd_bytes(offsets, c);
    patches[7] = reds_add_odd_bytes(offsets, d);
  }
  const int32_t rest = length & 3;
  if (rest == 0) return patches;
  for (int32_t lane = 0; lane < REDS_POSITIONS; ++lane, input += stride) {
    reds_expand_rest(input, rest, offset, REDS_HALF_WORDS, patches + lane);
  }
  return patches + (rest < 2 ? rest : 2) * REDS_HALF_WORDS;
}

#else

static inline uint32_t *reds_expand_four(const int8_t *input, int32_t length, int32_t stride,
                                         int32_t offset, REDS_UNUSED int32_t patch_words,
                                         uint32_t *patches) {
  uint32_t *end = patches;
  for (int32_t lane = 0; lane < REDS_POSITIONS; ++lane, input += stride) {
    end = reds_expand(input, length, offset, patches + lane);
  }
  return end - (REDS_POSITIONS - 1);
}

#endif /* REDS_DSP */
#endif /* REDS_MVE */
#endif /* REDS_EXPAND_H_ */
