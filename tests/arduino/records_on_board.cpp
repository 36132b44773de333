/* A sketch that prints records, on the bare board: its serial port is the chip's. */
#include "Arduino.h"

extern "C" {
#include "firmware.h"
volatile uint32_t firmware_console;
__attribute__((noinline, used)) void firmware_halt() {
  for (;;) __asm volatile("wfi");
}
void firmware_exit(int32_t) { firmware_halt(); }
}

SerialPort Serial;

size_t SerialPort::write(const uint8_t *text, size_t length) {
  chip_send(reinterpret_cast<const char *>(text), length);
  return length;
}

void setup();
void loop();

int main() {
  setup();
  loop();
  return 0;
}
