/* Main of an image that replays a trace: for each request the governor picks the subnet of one
 * inference. */
#include "board.h"
#include "firmware.h"
#include "firmware_model.h"
#include "replay_trace.h"

#define CYCLES_PER_US (BOARD_CLOCK_HZ / 1000000u)

reds_state firmware_state;
int8_t firmware_arena[FIRMWARE_ARENA_BYTES] __attribute__((aligned(16)));
int8_t firmware_input[FIRMWARE_INPUT_BYTES] __attribute__((aligned(4)));
int8_t firmware_output[FIRMWARE_OUTPUT_BYTES] __attribute__((aligned(4)));
volatile int32_t firmware_subnet = -1;

static void report_boot(void) {
  record_begin("BOOT");
  record_text("model", FIRMWARE_MODEL.name);
  record_hex("build", FIRMWARE_BUILD);
  record_integer("requests", REPLAY_REQUESTS);
  record_end();
}

/* Serves request `index`; returns whether that failed. */
static int32_t serve(reds_governor *governor, int32_t index) {
  const int8_t *sample = firmware_samples[index % FIRMWARE_SAMPLES];
  for (int32_t i = 0; i < FIRMWARE_INPUT_BYTES; i++) firmware_input[i] = sample[i];
  int32_t failed = reds_governor_choose(governor, &replay_requests[index]) != REDS_OK;
  failed |= reds_set_subnet(&firmware_state, governor->subnet) != REDS_OK;
  firmware_subnet = governor->subnet;
  const uint32_t start = cycle_counter_read();
  failed |= reds_invoke(&firmware_state, firmware_input, firmware_output) != REDS_OK;
  const uint32_t cycles = cycle_counter_read() - start;
  firmware_subnet = -1;
  const uint32_t assumed = replay_times_us[firmware_state.active];
  const uint32_t time_us = assumed != 0 ? assumed : cycles / CYCLES_PER_US;
  failed |= reds_governor_measured(governor, firmware_state.active, time_us) != REDS_OK;
  record_begin("STEP");
  record_integer("index", index);
  record_integer("subnet", firmware_state.active);
  record_integer("fits", governor->fits);
  record_integer("cycles", (int32_t)cycles);
  record_end();
  return failed;
}

int main(void) {
  reds_governor governor;
  int32_t failures = 0;
  cycle_counter_start();
  report_boot();
  failures +=
      reds_init(&firmware_state, &FIRMWARE_MODEL, firmware_arena, FIRMWARE_ARENA_BYTES) != REDS_OK;
  failures += reds_governor_init(&governor, REPLAY_COSTS, REPLAY_COST_COUNT) != REDS_OK;
  for (int32_t i = 0; i < REPLAY_REQUESTS; i++) failures += serve(&governor, i);
  cycle_counter_stop();
  record_begin("DONE");
  record_integer("failures", failures);
  record_end();
  return failures;
}
