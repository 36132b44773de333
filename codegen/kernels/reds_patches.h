/* Convolution as a matrix product, for cores with the DSP extension. Not public.
 *
 * Two input patches are expanded to int16 with the zero point subtracted; then each block of two
 * weight rows x two patches takes 6 loads, 4 unpackings and 8 SMLAD for 16 products. The two
 * patches are interleaved, so that one pointer walks both:
 *
 *   group of 4 inputs:  patch 0 (0, 2)  patch 0 (1, 3)  patch 1 (0, 2)  patch 1 (1, 3)
 *
 * A weight row is `count` segments of `length` active weights, `stride` apart: one for each tap of
 * the kernel, or a single one when no input channel is cut. The last group of a segment whose
 * length is no multiple of 4 reads the segment's last four weights again and multiplies by 0 those
 * that earlier groups have done: no weight outside the row is ever read. */
#ifndef REDS_PATCHES_H_
#define REDS_PATCHES_H_

#include "reds_support.h"

/* A group of four inputs in two interleaved patches. */
#define REDS_PAIR_WORDS 4
#define REDS_PAIR_BYTES 16

typedef struct {
  int32_t count;
  int32_t length;
  int32_t stride;
} reds_segments;

static inline reds_segments reds_row_segments(const reds_dims *filter) {
  const int32_t taps = filter->height * filter->width;
  const int32_t full = taps * filter->channel_stride;
  const reds_segments whole = {1, full, full};
  const reds_segments cut = {taps, filter->channels, filter->channel_stride};
  return filter->channels == filter->channel_stride ? whole : cut;
}

/* Groups of four inputs in one patch. */
static inline int64_t reds_patch_groups(const reds_dims *filter) {
  const reds_segments segments = reds_row_segments(filter);
  return (int64_t)segments.count * (((int64_t)segments.length + 3) / 4);
}

#if defined(REDS_DSP)

/* A segment of fewer than four bytes, filled up with zeros. */
static REDS_NOINLINE uint32_t reds_load_short(const int8_t *segment, int32_t length) {
  uint32_t word = 0;
  for (int32_t i = length - 1; i >= 0; --i) word = word << 8 | (uint8_t)segment[i];
  return word;
}

/* The last four bytes of a segment. */
static inline uint32_t reds_load_last(const int8_t *segment, int32_t length) {
  return length >= 4 ? reds_load_word(segment + length - 4) : reds_load_short(segment, length);
}

/* Keeps the bytes of `reds_load_last` that no whole group covers, in words of int16. */
static inline void reds_expand_last(const int8_t *input, int32_t length, int32_t offset,
                                    int16_t *group) {
  const int32_t done = length & ~3;
  const int32_t start = length >= 4 ? length - 4 : 0;
  for (int32_t i = 0; i < 4; ++i) {
    const int32_t at = start + i;
    const int32_t slot = (i & 1) * 2 + (i >> 1); /* 0, 2, 1, 3 */
    group[slot] = (int16_t)(at >= done && at < length ? input[at] + offset : 0);
  }
}

/* Expands one segment into groups `step` words apart; returns the end. */
static inline uint32_t *reds_expand(const int8_t *input, int32_t length, int32_t offset,
                                    int32_t step, uint32_t *groups) {
  const uint32_t offsets = ((uint32_t)offset << 16) | ((uint32_t)offset & 0xffff);
  for (int32_t i = 0; i + 4 <= length; i += 4, groups += step) {
    const uint32_t word = reds_load_word(input + i);
    groups[0] = reds_add_even_bytes(offsets, word);
    groups[1] = reds_add_odd_bytes(offsets, word);
  }
  if ((length & 3) == 0) return groups;
  int16_t last[4];
  reds_expand_last(input, length, offset, last);
  __builtin_memcpy(groups, last, sizeof last);
  return groups + step;
}

/* Sums of 2 rows x 2 patches: a struct of scalars stays in registers under every compiler. */
typedef struct {
  reds_sums row0, row1;
} reds_block;

/* One group of four inputs. */
static inline reds_block reds_multiply_group(uint32_t row0, uint32_t row1, const uint32_t *patches,
                                             reds_block sums) {
  const uint32_t even0 = reds_even_bytes(row0), odd0 = reds_odd_bytes(row0);
  const uint32_t even1 = reds_even_bytes(row1), odd1 = reds_odd_bytes(row1);
  const uint32_t a = patches[0], b = patches[1], c = patches[2], d = patches[3];
  sums.row0.first = reds_multiply_pairs(even0, a, sums.row0.first);
  sums.row0.second = reds_multiply_pairs(even0, c, sums.row0.second);
  sums.row1.first = reds_multiply_pairs(even1, a, sums.row1.first);
  sums.row1.second = reds_multiply_pairs(even1, c, sums.row1.second);
  sums.row0.first = reds_multiply_pairs(odd0, b, sums.row0.first);
  sums.row0.second = reds_multiply_pairs(odd0, d, sums.row0.second);
  sums.row1.first = reds_multiply_pairs(odd1, b, sums.row1.first);
  sums.row1.second = reds_multiply_pairs(odd1, d, sums.row1.second);
  return sums;
}

/* Two weight rows x two patches. The result is stored once at the end: as a return value, clang
 * would keep it in memory throughout. */
static REDS_NOINLINE void reds_multiply_rows(const reds_segments *segments, const int8_t *row0,
                                             const int8_t *row1, const uint32_t *patches,
                                             reds_block *result) {
  const int32_t length = segments->length, whole = length & ~3;
  reds_block sums = {{0, 0}, {0, 0}};
  for (int32_t count = segments->count; count > 0; --count) {
    for (const int8_t *end = row0 + whole; row0 != end; row0 += 4, row1 += 4) {
      sums = reds_multiply_group(reds_load_word(row0), reds_load_word(row1), patches, sums);
      patches += REDS_PAIR_WORDS;
    }
    row0 -= whole;
    row1 -= whole;
    if (whole != length) {
      sums = reds_multiply_group(reds_load_last(row0, length), reds_load_last(row1, length),
                                 patches, sums);
      patches += REDS_PAIR_WORDS;
    }
    row0 += segments->stride;
    row1 += segments->stride;
  }
  *result = sums;
}

/* All `channels` outputs of two patches. For an odd last patch, `output1` is `output0`: the second
 * patch must then hold the same inputs as the first. */
static inline void reds_multiply_patches(const reds_segments *segments,
                                         const reds_outputs *shared_outputs, const int8_t *filter,
                                         int32_t channels, const uint32_t *patches,
                                         int8_t *output0, int8_t *output1) {
  const reds_outputs outputs = *shared_outputs; /* a local copy: no int8 store can alias it */
  const int32_t row = segments->count * segments->stride;
  for (int32_t channel = 0; channel < channels; channel += 2, filter += 2 * row) {
    /* An odd last row is multiplied twice. */
    const int32_t next = channel + 1 < channels ? channel + 1 : channel;
    reds_block sums;
    reds_multiply_rows(segments, filter, filter + (next - channel) * row, patches, &sums);
    reds_output_pair(&outputs, channel, sums.row0, output0, output1);
    reds_output_pair(&outputs, next, sums.row1, output0, output1);
  }
}

#endif /* REDS_DSP */
#endif /* REDS_PATCHES_H_ */
