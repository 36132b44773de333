/* No chip, only a core and memory: records go out by semihosting, to a simulator or a debugger. */
#include "firmware.h"

void chip_start(void) { firmware_console = CONSOLE_SEMIHOSTING; }

void chip_send(const char *text, uint32_t length) {
  (void)text;
  (void)length;
}
