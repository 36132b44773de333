/* Just enough of Arduino's core for the generated sketch: a serial port that a host has opened. */
#ifndef ARDUINO_H_
#define ARDUINO_H_

#include <stddef.h>
#include <stdint.h>

class SerialPort {
 public:
  void begin(unsigned long) {}
  explicit operator bool() const { return true; }
  size_t write(const uint8_t *text, size_t length);
};

extern SerialPort Serial;

void setup();
void loop();

#endif /* ARDUINO_H_ */
