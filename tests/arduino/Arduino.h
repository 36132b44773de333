/* Just enough of Arduino for our sketches: Serial with a script to read, micros(). */
#ifndef ARDUINO_H_
#define ARDUINO_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

class SerialPort {
 public:
  void begin(unsigned long) {}
  explicit operator bool() const { return true; }
  int available();
  int read();
  void print(const char *text);
  void print(int value);
  void print(unsigned long value);
  void println(const char *text);
  size_t write(const uint8_t *text, size_t length);
};

extern SerialPort Serial;

unsigned long micros();
unsigned long millis();

#endif /* ARDUINO_H_ */
