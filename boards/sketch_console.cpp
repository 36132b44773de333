/* What a sketch has in place of console.c and stack.c. Not in its .ino: Arduino would declare the
 * functions there once more, without the C linkage. */
#include <Arduino.h>

extern "C" {
#define main firmware_main
#include "firmware.h"
#undef main

void console_write(const char *text, uint32_t length) {
  Serial.write(reinterpret_cast<const uint8_t *>(text), length);
}

/* The stack belongs to Arduino's core: not measured. */
void stack_paint() {}
void stack_report() {}
}
