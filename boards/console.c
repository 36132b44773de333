/* Where records go: the serial port, or a debugger by semihosting.
 *
 * One image serves boards and simulators: a simulator without the chip's serial port writes
 * CONSOLE_SEMIHOSTING into `firmware_console` before the start. */
#include "firmware.h"

#define SYS_WRITE0 0x04u
#define SYS_EXIT_EXTENDED 0x20u
#define STOPPED_APPLICATION_EXIT 0x20026u

__attribute__((section(".noinit"), used)) volatile uint32_t firmware_console;

static void semihost(uint32_t operation, const void *argument) {
  register uint32_t r0 __asm("r0") = operation;
  register const void *r1 __asm("r1") = argument;
  __asm volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
}

void console_write(const char *text, uint32_t length) {
  if (firmware_console == CONSOLE_SEMIHOSTING) {
    semihost(SYS_WRITE0, text);
  } else {
    chip_send(text, length);
  }
}

void firmware_exit(int32_t failures) {
  if (firmware_console == CONSOLE_SEMIHOSTING) {
    const uint32_t reason[2] = {STOPPED_APPLICATION_EXIT, (uint32_t)failures};
    semihost(SYS_EXIT_EXTENDED, reason);
  }
  firmware_halt();
}

__attribute__((noinline)) void firmware_halt(void) {
  for (;;) __asm volatile("wfi");
}
