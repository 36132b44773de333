/* The product of two row pairs and int8 inputs that are read where they lie. Not public.
 *
 * Rows are packed as in reds_block.h; `sums` are those of their four rows. */
#ifndef REDS_DIRECT_H_
#define REDS_DIRECT_H_

#include "reds_expand.h"

#define REDS_MIX_BYTES ((int32_t)sizeof(reds_halfword)) /* weights of two rows for an input */

/* Runs of inputs side by side, each of whole groups of four. */
typedef struct {
  int32_t count;
  int32_t length;     /* inputs of a run */
  int32_t offset;     /* of the inputs */
  int32_t input_gap;  /* bytes from the end of a run to the next one */
  int32_t weight_gap; /* and of its weights in a row pair */
} reds_runs;

#if defined(REDS_MVE)
#include "reds_direct_mve.h"
#else

#define REDS_DIRECT_INPUTS (2 * REDS_RUN_HALVES) /* that a call may take */

#if defined(REDS_DSP)
#include "reds_direct_dsp.h"
#else
#include "reds_direct_plain.h"
#endif

/* Adds the products of 1 to 3 inputs, filled up with the zero point. */
static REDS_NOINLINE void reds_add_rest(const int8_t *input, int32_t rest, int32_t offset,
                                        const int8_t *pair0, const int8_t *pair1, int32_t *sums) {
  const reds_runs one = {1, REDS_GROUP_INPUTS, offset, 0, 0};
  int8_t group[REDS_GROUP_INPUTS];
  __builtin_memset(group, -offset, sizeof group);
  for (int32_t i = 0; i < rest; ++i) group[i] = input[i];
  reds_add_groups(&one, group, pair0, pair1, sums);
}

#endif
#endif /* REDS_DIRECT_H_ */
