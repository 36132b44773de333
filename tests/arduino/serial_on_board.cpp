/* A sketch on the bare board: prints on the board's serial port, reads SERIAL_INPUT. */
#include "Arduino.h"

extern "C" {
#include "firmware.h"
volatile int32_t firmware_subnet = -1;
}

SerialPort Serial;

namespace {
volatile uint32_t &trace_enable = *reinterpret_cast<volatile uint32_t *>(0xE000EDFCu);
volatile uint32_t &counter_control = *reinterpret_cast<volatile uint32_t *>(0xE0001000u);
volatile uint32_t &cycles = *reinterpret_cast<volatile uint32_t *>(0xE0001004u);
const char *input = SERIAL_INPUT;

void print_number(unsigned long value) {
  if (value >= 10) print_number(value / 10);
  const char digit[] = {static_cast<char>('0' + value % 10), 0};
  Serial.print(digit);
}
}  // namespace

int SerialPort::available() { return *input != 0; }
int SerialPort::read() { return *input++; }
void SerialPort::print(const char *text) {
  static char character; /* in RAM: the port reads by DMA, which cannot reach flash */
  for (; *text != 0; text++) {
    character = *text;
    chip_send(&character, 1);
  }
}
void SerialPort::print(int value) {
  if (value < 0) print("-");
  print_number(value < 0 ? -static_cast<unsigned long>(value) : static_cast<unsigned long>(value));
}
void SerialPort::print(unsigned long value) { print_number(value); }
void SerialPort::println(const char *text) {
  print(text);
  print("\n");
}

unsigned long micros() { return cycles / 64; }
unsigned long millis() { return micros() / 1000; }

void setup();
void loop();

int main() {
  trace_enable |= 1u << 24;
  counter_control |= 1u;
  setup();
  while (Serial.available()) loop();
  return 0;
}
