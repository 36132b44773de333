/* The product of a row pair and one vector in C, for cores of eight registers. Not public. */
#ifndef REDS_PAIR_PLAIN_H_
#define REDS_PAIR_PLAIN_H_

#include "reds_block.h"

/* Adds the products of `halves` halves to the sums of both rows; `step` words of inputs lie from
 * half to half. The order of the statements keeps all in registers. */
static inline void reds_add_pair(const uint32_t *inputs, int32_t step, const int8_t *pair,
                                 int32_t halves, int32_t *row0, int32_t *row1) {
  const reds_word *weights = (const reds_word *)pair, *end = weights + halves;
  int32_t low = 0, mixed = 0;
  do {
    int32_t mixes = *weights++, input = (int16_t)*inputs;
    low += (int8_t)mixes * input;
    mixed += (int16_t)mixes * input;
    mixes >>= 16;
    input = (int32_t)*inputs >> 16;
    low += (int8_t)mixes * input;
    mixed += mixes * input;
    inputs += step;
  } while (weights != end);
  *row0 += low;
  *row1 += (mixed - low) >> 8;
}

#endif /* REDS_PAIR_PLAIN_H_ */
