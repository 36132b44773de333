/* Which subnet the custom ops run: shared by all our ops of one interpreter, independent of TFLM. */
#ifndef REDS_TFLM_STATE_H_
#define REDS_TFLM_STATE_H_

#include <stdint.h>

#include "reds.h"

#ifdef __cplusplus
extern "C" {
#endif

#define REDS_TFLM_MAGIC 0x52454453u /* "REDS": tells our external context from another's */

typedef struct {
  uint32_t magic;
  int32_t subnet_count;       /* of the model; 0 until AllocateTensors */
  volatile int32_t requested; /* written by the setter */
  int32_t active;             /* latched by the first of our ops; made the last output */
  const char *error;          /* what the ops last complained about, or null */
} reds_tflm_state;

#define REDS_TFLM_STATE {REDS_TFLM_MAGIC, 0, 0, 0, 0}

/* The state of interpreters without an external context of ours. */
extern reds_tflm_state reds_tflm_default_state;

/* Selects the subnet of the next invocation: 0 (smallest) .. subnet_count - 1 (full network).
 * Returns REDS_OK, or REDS_ERROR_SUBNET: no such subnet (or no model yet), the current one stays. */
int reds_tflm_state_set_subnet(reds_tflm_state *state, int subnet);

/* The same for the default state. */
int reds_tflm_set_subnet(int subnet);

/* The subnet that made the last output, by the default state. */
int reds_tflm_active_subnet(void);

/* What the ops of the default state last complained about, or null. */
const char *reds_tflm_error(void);

#ifdef __cplusplus
}
#endif
#endif /* REDS_TFLM_STATE_H_ */
