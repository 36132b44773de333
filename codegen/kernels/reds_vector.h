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
  const uint32_t *inputs;
  int32_t groups;     /* of four inputs that a subnet reads */
  int32_t pair_bytes; /* from one row pair to the next */
  int32_t input_offset;
  const int8_t *filter;
} reds_vector;

#if defined(REDS_MVE)
#include "reds_vector_mve.h"
#else

/* The outputs from channel `first` on, any activation. */
REDS_COLD void reds_multiply_rest(const reds_vector *vector, const reds_outputs *outputs,
                                  int32_t first, int32_t channels, int8_t *output);

#if defined(REDS_DSP)

/* Four rows a turn: the outputs from `output` to `output_end`, or to the first four of which one is
 * shifted to the left; returns where it stopped. `weights` lies `skipped` bytes before the first
 * pair; these are the bytes from the groups of the second pair to the third pair. Tables come as
 * the addresses of their entries for an output at address 0. `rounding` is -1 - zero point:
 * subtracted with carry, it rounds and adds the zero point.
 *
 * With four `input_bytes` too few, the sums of one turn are added to four words at `output`. */
uintptr_t reds_multiply_rows(int32_t skipped, const uint32_t *inputs, int32_t pair_bytes,
                             int32_t input_bytes, uintptr_t bias, uintptr_t multiplier,
                             uintptr_t shift, int32_t rounding, uintptr_t output_end,
                             uintptr_t weights, uintptr_t output);

/* The first outputs, four at a time; returns how many. For rows of at most REDS_RUN_GROUPS, an
 * activation that lets all of int8 through, and no table. */
static inline int32_t reds_multiply_quads(const reds_vector *vector, const reds_outputs *outputs,
                                          int32_t channels, int8_t *output) {
  const uintptr_t start = (uintptr_t)output, end = start + ((uintptr_t)channels & ~(uintptr_t)3);
  const int32_t bytes = vector->groups * REDS_GROUP_BYTES;
  const int32_t skipped = vector->pair_bytes - bytes;
  if (start == end) return 0;
  return (int32_t)(reds_multiply_rows(skipped, vector->inputs, vector->pair_bytes, bytes,
                                        (uintptr_t)outputs->bias - 4 * start,
                                        (uintptr_t)outputs->multiplier - 4 * start,
                                        (uintptr_t)outputs->shift - start, -1 - outputs->offset,
                                        end, (uintptr_t)(vector->filter - skipped), start) -
                   start);
}

#endif /* REDS_DSP */
#endif /* REDS_MVE */
#endif /* REDS_VECTOR_H_ */
