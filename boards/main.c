/* The image's main: every subnet on every embedded sample, checked against the reference.
 *
 * The buffers and `firmware_state` are global so that a simulator can call reds_invoke() of this
 * very image with other inputs. */
#include "firmware.h"
#include "firmware_model.h"

#define SWITCHES 16

reds_state firmware_state;
int8_t firmware_arena[FIRMWARE_ARENA_BYTES] __attribute__((aligned(16)));
int8_t firmware_input[FIRMWARE_INPUT_BYTES] __attribute__((aligned(4)));
int8_t firmware_output[FIRMWARE_OUTPUT_BYTES] __attribute__((aligned(4)));
volatile int32_t firmware_subnet = -1;

/* Runs `subnet` on firmware_input into firmware_output. */
__attribute__((noinline)) reds_status firmware_invoke(int32_t subnet) {
  firmware_subnet = subnet;
  reds_status status = reds_set_subnet(&firmware_state, subnet);
  if (status == REDS_OK) status = reds_invoke(&firmware_state, firmware_input, firmware_output);
  firmware_subnet = -1;
  return status;
}

static int32_t largest(const int8_t *values, int32_t count) {
  int32_t best = 0;
  for (int32_t i = 1; i < count; i++) {
    if (values[i] > values[best]) best = i;
  }
  return best;
}

typedef struct {
  uint32_t crc;
  uint32_t cycles; /* difference of the cycle counter */
  int32_t failed;  /* an error status, not the reference's output, or another subnet made it */
} run;

static run run_sample(int32_t subnet, int32_t sample) {
  const int8_t *input = firmware_samples[sample];
  for (int32_t i = 0; i < FIRMWARE_INPUT_BYTES; i++) firmware_input[i] = input[i];
  const uint32_t start = cycle_counter_read();
  const reds_status status = firmware_invoke(subnet);
  run result = {.cycles = cycle_counter_read() - start};
  result.crc = firmware_crc32(firmware_output, FIRMWARE_OUTPUT_BYTES);
  result.failed = status != REDS_OK || result.crc != firmware_expected[subnet][sample] ||
                  firmware_state.active != subnet;
  return result;
}

static int32_t report_sample(int32_t subnet, int32_t sample) {
  const run result = run_sample(subnet, sample);
  record_begin("RESULT");
  record_integer("subnet", subnet);
  record_integer("sample", sample);
  record_integer("active", firmware_state.active);
  record_integer("class", largest(firmware_output, FIRMWARE_OUTPUT_BYTES));
  record_hex("crc", result.crc);
  record_hex("expected", firmware_expected[subnet][sample]);
  record_integer("cycles", (int32_t)result.cycles);
  record_integer("failed", result.failed);
  record_end();
  return result.failed;
}

/* Switches in a pseudo-random order: no result may depend on the subnet that ran before. */
static int32_t report_switches(void) {
  uint32_t random = 1;
  int32_t failures = 0;
  for (int32_t i = 0; i < SWITCHES; i++) {
    random = random * 1664525u + 1013904223u;
    const int32_t subnet = (int32_t)((random >> 16) % FIRMWARE_SUBNETS);
    const int32_t sample = (int32_t)((random >> 8) % FIRMWARE_SAMPLES);
    failures += run_sample(subnet, sample).failed;
  }
  record_begin("SWITCH");
  record_integer("count", SWITCHES);
  record_integer("failures", failures);
  record_end();
  return failures;
}

static int32_t arena_used(void) {
  int32_t used = FIRMWARE_ARENA_BYTES;
  while (used > 0 && (uint8_t)firmware_arena[used - 1] == MEMORY_PAINT) used--;
  return used;
}

static void report_boot(void) {
  record_begin("BOOT");
  record_text("model", FIRMWARE_MODEL.name);
  record_hex("build", FIRMWARE_BUILD);
  record_integer("subnets", FIRMWARE_MODEL.subnet_count);
  record_integer("ops", FIRMWARE_MODEL.op_count);
  record_end();
}

int main(void) {
  int32_t failures = 0;
  stack_paint();
  for (int32_t i = 0; i < FIRMWARE_ARENA_BYTES; i++) firmware_arena[i] = (int8_t)MEMORY_PAINT;
  cycle_counter_start();
  report_boot();
  const reds_status status =
      reds_init(&firmware_state, &FIRMWARE_MODEL, firmware_arena, FIRMWARE_ARENA_BYTES);
  failures += status != REDS_OK;
  for (int32_t subnet = 0; subnet < FIRMWARE_SUBNETS; subnet++) {
    for (int32_t sample = 0; sample < FIRMWARE_SAMPLES; sample++) {
      failures += report_sample(subnet, sample);
    }
  }
  failures += report_switches();
  cycle_counter_stop();
  stack_report();
  record_memory("ARENA", arena_used(), FIRMWARE_ARENA_BYTES);
  record_begin("DONE");
  record_integer("failures", failures);
  record_end();
  return failures;
}
