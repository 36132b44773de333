/* The vector product in C, for cores without the DSP extension. Part of reds_vector.c. */
#ifndef REDS_VECTOR_PLAIN_H_
#define REDS_VECTOR_PLAIN_H_

#if defined(REDS_THUMB_1)
#include "reds_pair_plain.h"

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

#endif /* REDS_VECTOR_PLAIN_H_ */
