/* Int8 inputs times two row pairs with vector instructions. Part of reds_direct.h. */
#ifndef REDS_DIRECT_MVE_H_
#define REDS_DIRECT_MVE_H_

#include "reds_rows_mve.h"

#define REDS_DIRECT_INPUTS 64 /* that a call may take */

/* Adds the products of up to REDS_DIRECT_INPUTS inputs, which need be no whole groups. */
static inline void reds_add_rest(const int8_t *input, int32_t length, int32_t offset,
                                 const int8_t *pair0, const int8_t *pair1, int32_t *sums) {
  int8_t packed[REDS_DIRECT_INPUTS];
  reds_row_sums here;
  reds_pack_inputs(input, length, offset, packed);
  reds_sum_four_rows(packed, pair0, pair1, reds_groups(length), &here);
  const int32x4_t products = vaddq_s32(vldrwq_s32(sums), vldrwq_s32(here.products));
  vstrwq_s32(sums, vmlaq_n_s32(products, vldrwq_s32(here.weights), offset));
}

/* Adds the products of the runs to `sums`. */
static void reds_add_groups(const reds_runs *runs, const int8_t *input, const int8_t *pair0,
                            const int8_t *pair1, int32_t *sums) {
  const int32_t pair_step = runs->length * REDS_MIX_BYTES + runs->weight_gap;
  for (int32_t left = runs->count; left > 0; --left) {
    reds_add_rest(input, runs->length, runs->offset, pair0, pair1, sums);
    input += runs->length + runs->input_gap;
    pair0 += pair_step;
    pair1 += pair_step;
  }
}

#endif /* REDS_DIRECT_MVE_H_ */
