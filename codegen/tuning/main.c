/* Main of an image whose ops a simulator calls one by one: it writes the two variables below and
 * calls main() again. */
#include "firmware.h"
#include "firmware_model.h"

reds_state firmware_state;
int8_t firmware_arena[FIRMWARE_ARENA_BYTES] __attribute__((aligned(16)));
volatile int32_t firmware_op = -1;
volatile int32_t firmware_subnet = -1;

/* The status of op `firmware_op` in `firmware_subnet`; directly after reset, that of reds_init. */
int main(void) {
  if (firmware_op < 0) {
    return (int)reds_init(&firmware_state, &FIRMWARE_MODEL, firmware_arena, FIRMWARE_ARENA_BYTES);
  }
  firmware_state.active = firmware_subnet;
  return (int)reds_run_op(&firmware_state, &FIRMWARE_MODEL.ops[firmware_op]);
}
