/* The vector product with vector instructions. Part of reds_vector.h. */
#ifndef REDS_VECTOR_MVE_H_
#define REDS_VECTOR_MVE_H_

#include "reds_rows_mve.h"

/* Expands all inputs. */
static inline void reds_expand_vector(const int8_t *input, int32_t length, int32_t offset,
                                      uint32_t *inputs) {
  reds_pack_inputs(input, length, offset, (int8_t *)inputs);
}

/* All outputs. */
static inline void reds_multiply_vector(const reds_vector *vector,
                                        const reds_outputs *shared_outputs, int32_t channels,
                                        int8_t *output) {
  const reds_outputs outputs = *shared_outputs; /* a local copy: no int8 store can alias it */
  for (int32_t channel = 0; channel < channels; channel += REDS_LANES) {
    const int8_t *pair = vector->filter + channel / 2 * vector->pair_bytes;
    reds_row_sums sums;
    reds_sum_four_rows((const int8_t *)vector->inputs, pair,
                       channel + 2 < channels ? pair + vector->pair_bytes : pair, vector->groups,
                       &sums);
    const mve_pred16_t active = vctp32q((uint32_t)(channels - channel));
    const reds_four_factors factors = reds_load_factors(&outputs, channel, active);
    const int32x4_t bias = vldrwq_z_s32(outputs.bias + channel, active);
    const int32x4_t biased = vaddq_s32(vldrwq_s32(sums.products), bias);
    const int32x4_t sum = vmlaq_n_s32(biased, vldrwq_s32(sums.weights), vector->input_offset);
    const int32x4_t scaled = reds_requantise_four(sum, factors);
    vstrbq_p_s32(output + channel, reds_activate_four(&outputs, scaled), active);
  }
}

#endif /* REDS_VECTOR_MVE_H_ */
