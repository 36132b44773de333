/* Runs both models by turns, in one arena each; prints the bytes of every output. */
#include <stdint.h>
#include <stdio.h>

#include "first_model.h"
#include "second_model.h"

static int8_t first_arena[FIRST_ARENA_BYTES] __attribute__((aligned(16)));
static int8_t second_arena[SECOND_ARENA_BYTES] __attribute__((aligned(16)));
static int8_t input[65536], output[65536];

static void run(reds_state *state, int32_t subnet) {
  for (size_t i = 0; i < state->model->input_bytes; i++) input[i] = (int8_t)(i * 37 % 251);
  if (reds_set_subnet(state, subnet) != REDS_OK) return;
  if (reds_invoke(state, input, output) != REDS_OK) return;
  printf("%s %d:", state->model->name, (int)subnet);
  for (size_t i = 0; i < state->model->output_bytes; i++) printf(" %d", output[i]);
  printf("\n");
}

int main(void) {
  reds_state first, second;
  if (reds_init(&first, &first_model, first_arena, sizeof first_arena) != REDS_OK) return 1;
  if (reds_init(&second, &second_model, second_arena, sizeof second_arena) != REDS_OK) return 2;
  for (int32_t subnet = 0; subnet < FIRST_SUBNETS; subnet++) {
    run(&first, subnet);
    run(&second, subnet % SECOND_SUBNETS);
  }
  return 0;
}
