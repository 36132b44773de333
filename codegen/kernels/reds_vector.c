#include "reds_vector.h"

#if !defined(REDS_MVE)

/* Sums of two row pairs. */
typedef struct {
  int32_t row[4];
} reds_vector_sums;

#if defined(REDS_DSP)
#include "reds_vector_dsp.h"
#else
#include "reds_vector_plain.h"
#endif

/* Both pairs of rows times the whole vector, run by run, added to `sums`. */
static void sum_rows(const reds_vector *vector, const int8_t *pair0, const int8_t *pair1,
                     reds_vector_sums *sums) {
  const uint32_t *inputs = vector->inputs;
  for (int32_t left = vector->groups; left > 0; left -= REDS_RUN_GROUPS) {
    const int32_t groups = left < REDS_RUN_GROUPS ? left : REDS_RUN_GROUPS;
    reds_sum_vector(inputs, pair0, pair1, groups, sums);
    inputs += 2 * REDS_RUN_GROUPS;
    pair0 += REDS_RUN_GROUPS * REDS_GROUP_BYTES;
    pair1 += REDS_RUN_GROUPS * REDS_GROUP_BYTES;
  }
}

/* Four at a time; of the last four, those that do not exist are dropped. */
void reds_multiply_rest(const reds_vector *vector, const reds_outputs *shared_outputs,
                        int32_t first, int32_t channels, int8_t *output) {
  const reds_outputs outputs = *shared_outputs; /* a local copy: no int8 store can alias it */
  for (int32_t channel = first; channel < channels; channel += 4) {
    const int8_t *pair0 = vector->filter + channel / 2 * vector->pair_bytes;
    const int8_t *pair1 = channel + 2 < channels ? pair0 + vector->pair_bytes : pair0;
    reds_vector_sums sums = {{0, 0, 0, 0}};
    sum_rows(vector, pair0, pair1, &sums);
    for (int32_t i = 0; i < 4 && channel + i < channels; ++i) {
      output[channel + i] = reds_output(&outputs, channel + i, sums.row[i]);
    }
  }
}

#endif
