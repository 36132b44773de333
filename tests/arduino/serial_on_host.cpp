/* A sketch on this host: prints to the standard output, reads the standard input. */
#include <stdio.h>
#include <time.h>

#include "Arduino.h"

SerialPort Serial;

static int next = EOF;

int SerialPort::available() {
  if (next == EOF) next = getchar();
  return next != EOF;
}
int SerialPort::read() {
  const int key = next;
  next = EOF;
  return key;
}
void SerialPort::print(const char *text) { fputs(text, stdout); }
void SerialPort::print(int value) { printf("%d", value); }
void SerialPort::print(unsigned long value) { printf("%lu", value); }
void SerialPort::println(const char *text) { puts(text); }

unsigned long micros() { return (unsigned long)clock() * 1000000 / CLOCKS_PER_SEC; }
unsigned long millis() { return micros() / 1000; }

void setup();
void loop();

int main() {
  setup();
  while (Serial.available()) loop();
}
