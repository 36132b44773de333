/* Int8 inputs times two row pairs in C. Part of reds_direct.h. */
#ifndef REDS_DIRECT_PLAIN_H_
#define REDS_DIRECT_PLAIN_H_

/* Adds the products of one run and one row pair. */
static inline void reds_add_pair_groups(const int8_t *input, int32_t length, int32_t offset,
                                        const int8_t *pair, int32_t *sums) {
  const reds_halfword *mixes = (const reds_halfword *)pair;
  int32_t low = 0, mixed = 0;
  for (const int8_t *end = input + length; input != end; input += 4, mixes += 4) {
    const int32_t inputs[] = {input[0] + offset, input[2] + offset, input[1] + offset,
                              input[3] + offset};
    for (int32_t i = 0; i < 4; ++i) {
      low += (int8_t)mixes[i] * inputs[i];
      mixed += mixes[i] * inputs[i];
    }
  }
  sums[0] += low;
  sums[1] += (mixed - low) >> 8;
}

/* Adds the products of the runs to `sums`. */
static REDS_NOINLINE void reds_add_groups(const reds_runs *runs, const int8_t *input,
                                          const int8_t *pair0, const int8_t *pair1, int32_t *sums) {
  const int32_t length = runs->length;
  const int32_t pair_step = length * REDS_MIX_BYTES + runs->weight_gap;
  for (int32_t left = runs->count; left > 0; --left) {
    reds_add_pair_groups(input, length, runs->offset, pair0, sums);
    reds_add_pair_groups(input, length, runs->offset, pair1, sums + 2);
    input += length + runs->input_gap;
    pair0 += pair_step;
    pair1 += pair_step;
  }
}

#endif /* REDS_DIRECT_PLAIN_H_ */
