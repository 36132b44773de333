/* A fully connected layer as the product of two row pairs and one vector. Not public.
 *
 * Rows are packed as in reds_block.h, one segment each. The vector is int16 without the zero point,
 * two words for each group of four inputs (0 2, then 1 3), zeros behind the last input. */
#ifndef REDS_VECTOR_H_
#define REDS_VECTOR_H_

#include "reds_block.h"

#define REDS_GROUP_BYTES (2 * REDS_HALF_BYTES)
#define REDS_RUN_GROUPS (REDS_RUN_HALVES / 2)

typedef struct {
  int32_t groups;     /* of four inputs that a subnet reads */
  int32_t pair_bytes; /* from one row pair to the next */
} reds_vector_rows;

/* Sums of two row pairs. */
typedef struct {
  int32_t row[4];
} reds_vector_sums;

#if defined(REDS_DSP)
#include "reds_vector_dsp.h"
#else

static inline void reds_sum_vector_pair(const uint32_t *inputs, const int8_t *pair, int32_t groups,
                                        int32_t *sums) {
  const reds_halfword *a = (const reds_halfword *)inputs;
  int32_t low = 0, mixed = 0;
  for (const int8_t *end = pair + groups * REDS_GROUP_BYTES; pair != end; pair += 2, ++a) {
    int16_t mix;
    __builtin_memcpy(&mix, pair, sizeof mix);
    low += pair[0] * *a;
    mixed += mix * *a;
  }
  sums[0] += low;
  sums[1] += (mixed - low) >> 8;
}

/* Adds the products of `groups` groups to `sums`. */
static REDS_NOINLINE void reds_sum_vector(const uint32_t *inputs, const int8_t *pair0,
                                          const int8_t *pair1, int32_t groups,
                                          reds_vector_sums *sums) {
  reds_sum_vector_pair(inputs, pair0, groups, sums->row);
  reds_sum_vector_pair(inputs, pair1, groups, sums->row + 2);
}

#endif /* REDS_DSP */
#endif /* REDS_VECTOR_H_ */
