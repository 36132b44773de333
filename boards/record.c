/* Records of the form `REDS KIND key=value key=value`, one a line, handed to console_write(). */
#include "firmware.h"

#define LINE_BYTES 192u

static char line[LINE_BYTES]; /* in RAM, for the DMA of a serial port */
static uint32_t line_length;

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
  console_write(line, line_length + 1);
}

/* Starts a new line first: what another program or a bootloader printed stays out of it. */
void record_start(void) {
  line_length = 0;
  record_end();
}

void record_memory(const char *kind, int32_t used, int32_t size) {
  record_begin(kind);
  record_integer("used", used);
  record_integer("size", size);
  record_end();
}
