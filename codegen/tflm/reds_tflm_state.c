#include "reds_tflm_state.h"

reds_tflm_state reds_tflm_default_state = REDS_TFLM_STATE;

int reds_tflm_state_set_subnet(reds_tflm_state *state, int subnet) {
  /* As unsigned, a negative subnet is above every count. */
  if ((uint32_t)subnet >= (uint32_t)state->subnet_count) {
    return REDS_ERROR_SUBNET;
  }
  state->requested = subnet;
  return REDS_OK;
}

int reds_tflm_set_subnet(int subnet) {
  return reds_tflm_state_set_subnet(&reds_tflm_default_state, subnet);
}

int reds_tflm_active_subnet(void) { return reds_tflm_default_state.active; }

const char *reds_tflm_error(void) { return reds_tflm_default_state.error; }
