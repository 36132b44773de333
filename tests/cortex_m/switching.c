/* Inferences one after the other while the SysTick interrupt switches the subnet at random moments.
 *
 * The same loop serves reds_invoke and the ops of TFLM: how to run and to switch is passed in. */
#include <stdint.h>

#include "reds.h"

#define SYST_CSR (*(volatile uint32_t *)0xE000E010u)
#define SYST_RVR (*(volatile uint32_t *)0xE000E014u)
#define SYST_CVR (*(volatile uint32_t *)0xE000E018u)
#define SYST_RUN 7u /* enabled, with interrupt, by the processor's clock */

typedef struct {
  int (*invoke)(void *context);
  int (*set_subnet)(void *state, int32_t subnet);
  void *context;
  void *state;
  const volatile int32_t *requested;
  const int32_t *active;
  const int8_t *samples; /* [sample_count, input_bytes] */
  int8_t *input;
  const int8_t *output;
  int8_t *outputs;  /* [runs, output_bytes] */
  int32_t *actives; /* [runs], the subnet that made each output by its own word */
  int32_t input_bytes, output_bytes, sample_count, runs, subnet_count;
  int32_t most_ticks; /* between two switches */
} switching;

static const switching *current;
static uint32_t random_state = 1;

static uint32_t draw(uint32_t below) {
  random_state = random_state * 1664525u + 1013904223u;
  return (random_state >> 8) % below;
}

void switching_interrupt(void) {
  (void)current->set_subnet(current->state, (int32_t)draw((uint32_t)current->subnet_count));
  SYST_RVR = 1u + draw((uint32_t)current->most_ticks);
  SYST_CVR = 0;
}

static void copy_bytes(int8_t *to, const int8_t *from, int32_t count) {
  for (int32_t i = 0; i < count; i++) to[i] = from[i];
}

/* Returns during how many runs the subnet was switched, or -1 - the run that failed. */
int32_t switching_run(const switching *all) {
  int32_t disturbed = 0;
  current = all;
  SYST_RVR = (uint32_t)all->most_ticks;
  SYST_CVR = 0;
  SYST_CSR = SYST_RUN;
  for (int32_t run = 0; run < all->runs; run++) {
    copy_bytes(all->input, all->samples + run % all->sample_count * all->input_bytes,
               all->input_bytes);
    const int32_t before = *all->requested;
    const int status = all->invoke(all->context);
    disturbed += before != *all->requested;
    if (status != 0) {
      SYST_CSR = 0;
      return -1 - run;
    }
    all->actives[run] = *all->active;
    copy_bytes(all->outputs + run * all->output_bytes, all->output, all->output_bytes);
  }
  SYST_CSR = 0;
  return disturbed;
}

typedef struct {
  reds_state *state;
  int8_t *input, *output;
} executor_call;

/* reds_invoke as a function of one argument. */
int executor_invoke(void *context) {
  const executor_call *call = context;
  return reds_invoke(call->state, call->input, call->output);
}
