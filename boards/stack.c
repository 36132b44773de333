/* High-water mark of the stack that linker.ld reserves. */
#include "firmware.h"

#define FRAME_BYTES 64 /* of the painting function itself */

/* Fills the stack below this function's frame. */
__attribute__((noinline)) void stack_paint(void) {
  const uint8_t *frame = __builtin_frame_address(0);
  for (volatile uint8_t *byte = (uint8_t *)firmware_stack_bottom; byte < frame - FRAME_BYTES;
       byte++) {
    *byte = MEMORY_PAINT;
  }
}

void stack_report(void) {
  const uint8_t *byte = (const uint8_t *)firmware_stack_bottom;
  const uint8_t *top = (const uint8_t *)firmware_stack_top;
  const int32_t size = (int32_t)(top - byte);
  while (byte < top && *byte == MEMORY_PAINT) byte++;
  record_memory("STACK", (int32_t)(top - byte), size);
}
