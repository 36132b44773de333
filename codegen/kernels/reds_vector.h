/* A fully connected layer as the product of two row pairs and one vector. Not public.
 *
 * Rows are packed as in reds_block.h, one segment each. The vector is int16 without the zero point,
 * two words for each group of four inputs (0 2, then 1 3), zeros behind the last input. */
#ifndef REDS_VECTOR_H_
#define REDS_VECTOR_H_

#include "reds_pair_plain.h"

#define REDS_GROUP_BYTES (2 * REDS_HALF_BYTES)
#define REDS_RUN_GROUPS (REDS_RUN_HALVES / 2)

typedef struct {
  const uint32_t *inputs;
  int32_t groups;     /* of four inputs that a subnet reads */
  int32_t pair_bytes; /* from one row pair to the next */
  int32_t input_offset;
  const int8_t *filter;
} reds_vector;

#if defined(REDS_MVE)
#include "reds_vector_mve.h"
#else

/* Sums of two row pairs. */
typedef struct {
  int32_t row[4];
} reds_vector_sums;

#if defined(REDS_DSP)
#include "reds_vector_dsp.h"
#else

#if defined(REDS_THUMB_1)

static REDS_NOINLINE void sum_pair(const uint32_t *inputs, const int8_t *pair, int32_t groups,
                                   int32_t *sums) {
  reds_add_pair(inputs, 1, pair, 2 * groups, sums, sums + 1);
}

/* Adds the products of `groups` groups to `sums`. */
static REDS_NOINLINE void reds_sum_vector(const uint32_t *inputs, const int8_t *pair0,
                                          const int8_t *pair1, int32_t groups,
                                          reds_vector_sums *sums) {
  sum_pair(inputs, pair0, groups, sums->row);
  sum_pair(inputs, pair1, groups, sums->row + 2);
}

#else

/* Adds the products of `groups` groups to `sums`. */
static REDS_NOINLINE void reds_sum_vector(const uint32_t *inputs, const int8_t *pair0,
                                          const int8_t *pair1, int32_t groups,
                                          reds_vector_sums *sums) {
  const reds_halfword *a = (const reds_halfword *)inputs;
  const reds_halfword *mixes0 = (const reds_halfword *)pair0;
  const reds_halfword *mixes1 = (const reds_halfword *)pair1;
  int32_t low0 = 0, low1 = 0, mixed0 = 0, mixed1 = 0;
  for (int32_t i = 0; i < 4 * groups; ++i) {
    low0 += (int8_t)mixes0[i] * a[i];
    low1 += (int8_t)mixes1[i] * a[i];
    mixed0 += mixes0[i] * a[i];
    mixed1 += mixes1[i] * a[i];
  }
  sums->row[0] += low0;
  sums->row[1] += (mixed0 - low0) >> 8;
  sums->row[2] += low1;
  sums->row[3] += (mixed1 - low1) >> 8;
}

#endif
#endif /* REDS_DSP */
#endif /* REDS_MVE */
#endif /* REDS_VECTOR_H_ */
