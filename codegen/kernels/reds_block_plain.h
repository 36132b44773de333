/* The block product in C, for cores without the DSP extension. Part of reds_block.c. */
#ifndef REDS_BLOCK_PLAIN_H_
#define REDS_BLOCK_PLAIN_H_

#if defined(REDS_THUMB_1)
#include "reds_pair_plain.h"

static REDS_NOINLINE void sum_position(const uint32_t *patches, const int8_t *weights,
                                       int32_t halves, int32_t *row0, int32_t *row1) {
  reds_add_pair(patches, REDS_HALF_WORDS, weights, halves, row0, row1);
}

/* Adds the products of `halves` halves to `sums`: the sums of one position fit the registers. */
static inline void reds_sum_halves(const uint32_t *patches, const int8_t *weights, int32_t halves,
                                   reds_block *sums) {
  for (int32_t i = 0; i < REDS_POSITIONS; ++i) {
    sum_position(patches + i, weights, halves, sums->row0 + i, sums->row1 + i);
  }
}

#else

/* Adds the products of one input of each position. */
#define REDS_ADD_INPUTS(mix, inputs)          \
  low0 += (int8_t)(mix) * (inputs)[0];        \
  mixed0 += (mix) * (inputs)[0];              \
  low1 += (int8_t)(mix) * (inputs)[2];        \
  mixed1 += (mix) * (inputs)[2];              \
  low2 += (int8_t)(mix) * (inputs)[4];        \
  mixed2 += (mix) * (inputs)[4];              \
  low3 += (int8_t)(mix) * (inputs)[6];        \
  mixed3 += (mix) * (inputs)[6];

/* Adds the products of `halves` halves to `sums`: all of them fit fourteen registers. */
static REDS_NOINLINE void reds_sum_halves(const uint32_t *patches, const int8_t *weights,
                                          int32_t halves, reds_block *sums) {
  const reds_halfword *inputs = (const reds_halfword *)patches;
  const reds_halfword *mixes = (const reds_halfword *)weights, *end = mixes + 2 * halves;
  int32_t low0 = 0, low1 = 0, low2 = 0, low3 = 0, mixed0 = 0, mixed1 = 0, mixed2 = 0, mixed3 = 0;
  do {
    REDS_ADD_INPUTS(mixes[0], inputs)
    REDS_ADD_INPUTS(mixes[1], inputs + 1)
    mixes += 2;
    inputs += 2 * REDS_HALF_WORDS;
  } while (mixes != end);
  sums->row0[0] += low0;
  sums->row0[1] += low1;
  sums->row0[2] += low2;
  sums->row0[3] += low3;
  sums->row1[0] += (mixed0 - low0) >> 8;
  sums->row1[1] += (mixed1 - low1) >> 8;
  sums->row1[2] += (mixed2 - low2) >> 8;
  sums->row1[3] += (mixed3 - low3) >> 8;
}

#endif

/* Adds the products of a row pair to `sums`, run by run. */
static inline void sum_rows(const reds_rows *rows, const uint32_t *patches,
                                 const int8_t *weights, reds_block *sums) {
  for (int32_t segment = 0; segment < rows->count; ++segment, weights += rows->skipped) {
    for (int32_t left = rows->halves; left > 0; left -= REDS_RUN_HALVES) {
      const int32_t halves = left < REDS_RUN_HALVES ? left : REDS_RUN_HALVES;
      reds_sum_halves(patches, weights, halves, sums);
      patches += halves * REDS_HALF_WORDS;
      weights += halves * REDS_HALF_BYTES;
    }
  }
}

/* Adds the products of `rows` to the sums of `pairs` row pairs, `pair_bytes` apart. */
static inline void reds_sum_pairs(const reds_rows *rows, const uint32_t *patches,
                                  const int8_t *weights, int32_t pair_bytes, int32_t pairs,
                                  reds_block *sums) {
  for (; pairs > 0; --pairs, weights += pair_bytes) sum_rows(rows, patches, weights, sums++);
}

#endif /* REDS_BLOCK_PLAIN_H_ */
