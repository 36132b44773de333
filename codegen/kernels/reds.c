#include "reds.h"

#define ARENA_ALIGNMENT 16

reds_status reds_init(reds_state *state, const reds_model *model, void *arena,
                      size_t arena_bytes) {
  if (state == NULL || model == NULL) return REDS_ERROR_ARGUMENT;
  if (arena == NULL || arena_bytes < model->arena_bytes ||
      (uintptr_t)arena % ARENA_ALIGNMENT != 0) {
    return REDS_ERROR_ARENA;
  }
  state->model = model;
  state->arena = arena;
  state->input = NULL;
  state->output = NULL;
  state->requested = model->subnet_count - 1;
  state->active = model->subnet_count - 1;
  state->hook = NULL;
  state->hook_context = NULL;
  return REDS_OK;
}

reds_status reds_set_subnet(reds_state *state, int32_t subnet) {
  if (state == NULL || state->model == NULL) return REDS_ERROR_ARGUMENT;
  if ((uint32_t)subnet >= (uint32_t)state->model->subnet_count) return REDS_ERROR_SUBNET;
  state->requested = subnet;
  return REDS_OK;
}

__attribute__((noinline)) reds_status reds_run_op(const reds_state *state, const reds_op *op) {
  return op->run(state, op->data);
}

static __attribute__((noinline)) void call_hook(const reds_state *state, int32_t op_index) {
  if (state->hook != NULL) state->hook(state->hook_context, op_index);
}

reds_status reds_invoke(reds_state *state, const int8_t *input, int8_t *output) {
  if (state == NULL || state->model == NULL || input == NULL || output == NULL) {
    return REDS_ERROR_ARGUMENT;
  }
  const reds_model *model = state->model;
  state->input = input;
  state->output = output;
  /* The only read of `requested`: a store from an interrupt never mixes widths in one run. */
  state->active = state->requested;
  for (int32_t i = 0; i < model->op_count; ++i) {
    call_hook(state, i);
    const reds_status status = reds_run_op(state, &model->ops[i]);
    if (status != REDS_OK) return status;
  }
  call_hook(state, model->op_count);
  return REDS_OK;
}
