/* Public interface of a generated network: one int8 model, several nested subnets.
 *
 *   static reds_state state;
 *   static int8_t arena[KWS_ARENA_BYTES] __attribute__((aligned(16)));
 *   reds_init(&state, &kws_model, arena, sizeof arena);
 *   reds_set_subnet(&state, 0);            // one store: also from an interrupt
 *   reds_invoke(&state, input, output);    // the switch takes effect at entry
 *
 * No heap, no globals: any number of models and states live side by side. */
#ifndef REDS_H_
#define REDS_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
  REDS_OK = 0,
  REDS_ERROR_ARGUMENT = 1, /* a null pointer, or a shape that a kernel cannot take */
  REDS_ERROR_ARENA = 2,    /* the arena is too small or not aligned to 16 bytes */
  REDS_ERROR_SUBNET = 3    /* no such subnet; the current one stays selected */
} reds_status;

typedef struct reds_state reds_state;

/* One generated step of the network: `run` reads and writes `state->arena`, input and output, as
 * `data` says. */
typedef struct {
  const char *name;
  reds_status (*run)(const reds_state *state, const void *data);
  const void *data;
} reds_op;

typedef struct {
  const char *name;
  const reds_op *ops;
  int32_t op_count;
  int32_t subnet_count;
  size_t arena_bytes;
  size_t input_bytes;
  size_t output_bytes;
} reds_model;

/* Called before each op when set; index is op_count after the last op. */
typedef void (*reds_op_hook)(void *context, int32_t op_index);

struct reds_state {
  const reds_model *model;
  int8_t *arena;
  const int8_t *input;
  int8_t *output;
  volatile int32_t requested; /* written by reds_set_subnet */
  int32_t active;             /* latched by reds_invoke; the subnet that made the last output */
  reds_op_hook hook;
  void *hook_context;
};

/* Binds `state` to a model and an arena of at least `model->arena_bytes` (16-byte aligned), and
 * selects the full network. */
reds_status reds_init(reds_state *state, const reds_model *model, void *arena, size_t arena_bytes);

/* Selects the subnet of the next invocation: 0 (smallest) .. subnet_count - 1 (full network). */
reds_status reds_set_subnet(reds_state *state, int32_t subnet);

/* Runs the requested subnet on `input` (int8, full shape) into `output`; `state->active` tells
 * which subnet made the result. */
reds_status reds_invoke(reds_state *state, const int8_t *input, int8_t *output);

/* Runs one op of the model alone, in the active subnet. reds_invoke calls it for each op, too:
 * simulators see here where an op begins and ends. */
reds_status reds_run_op(const reds_state *state, const reds_op *op);

#ifdef __cplusplus
}
#endif
#endif /* REDS_H_ */
