/* Records on the console: the serial port, or a debugger by semihosting.
 *
 * One image serves boards and simulators: a simulator that has no serial port writes
 * CONSOLE_SEMIHOSTING into `firmware_console` before the start. */
#include "firmware.h"

#define CONSOLE_SEMIHOSTING 0x52454453u
#define SYS_WRITE0 0x04u
#define SYS_EXIT_EXTENDED 0x20u
#define STOPPED_APPLICATION_EXIT 0x20026u
#define LINE_BYTES 192u

__attribute__((section(".noinit"), used)) volatile uint32_t firmware_console;

static char line[LINE_BYTES]; /* in RAM, for the DMA */
static uint32_t line_length;

static void semihost(uint32_t operation, const void *argument) {
  register uint32_t r0 __asm("r0") = operation;
  register const void *r1 __asm("r1") = argument;
  __asm volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
}

static void append(char character) {
  if (line_length < LINE_BYTES - 2) line[line_length++] = character; /* room for "\n" and 0 */
}

static void append_text(const char *text) {
  while (*text != 0) append(*text++);
}

static void append_key(const char *key) {
  append(' ');
  append_text(key);
  append('=');
}

/* Starts a new line first: what another program or a bootloader printed stays out of it. */
void console_start(void) {
  line_length = 0;
  record_end();
}

void record_begin(const char *kind) {
  line_length = 0;
  append_text("REDS ");
  append_text(kind);
}

void record_integer(const char *key, int32_t value) {
  char digits[10];
  int32_t count = 0;
  uint32_t rest = value < 0 ? 0u - (uint32_t)value : (uint32_t)value;
  do {
    digits[count++] = (char)('0' + rest % 10);
    rest /= 10;
  } while (rest != 0);
  append_key(key);
  if (value < 0) append('-');
  while (count > 0) append(digits[--count]);
}

void record_hex(const char *key, uint32_t value) {
  append_key(key);
  for (int32_t shift = 28; shift >= 0; shift -= 4) append("0123456789abcdef"[value >> shift & 15u]);
}

void record_text(const char *key, const char *value) {
  append_key(key);
  append_text(value);
}

void record_end(void) {
  line[line_length] = '\n';
  line[line_length + 1] = 0;
  if (firmware_console == CONSOLE_SEMIHOSTING) {
    semihost(SYS_WRITE0, line);
  } else {
    chip_send(line, line_length + 1);
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
