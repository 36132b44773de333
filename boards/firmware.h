/* What the files of the bare-metal image share. */
#ifndef FIRMWARE_H_
#define FIRMWARE_H_

#include <stdint.h>

/* chip_<name>.c: clock and cache, and the serial port by polling. Neither is called when the
 * console is semihosting: then there is only the core. `text` lies in RAM. */
void chip_start(void);
void chip_send(const char *text, uint32_t length);

/* record.c: records of the form `REDS KIND key=value key=value`, one a line. */
void record_start(void);
void record_begin(const char *kind);
void record_integer(const char *key, int32_t value);
void record_hex(const char *key, uint32_t value);
void record_text(const char *key, const char *value);
void record_end(void);
void record_memory(const char *kind, int32_t used, int32_t size);

#define CONSOLE_SEMIHOSTING 0x52454453u
extern volatile uint32_t firmware_console;

/* console.c; a sketch brings its own. `text` ends with "\n" and a zero, which length leaves out. */
void console_write(const char *text, uint32_t length);
/* Ends the run: simulators stop here, a board sleeps here. */
void firmware_exit(int32_t failures) __attribute__((noreturn));
void firmware_halt(void) __attribute__((noreturn));

/* crc32.c */
uint32_t firmware_crc32(const void *data, uint32_t count);

#define MEMORY_PAINT 0xA5u /* what is still so was never written */

/* stack.c: the high-water mark of linker.ld's stack. */
void stack_paint(void);
void stack_report(void);

/* cycle_counter.c: the core's cycles, modulo 2^32; start it first. */
void cycle_counter_start(void);
void cycle_counter_stop(void);
uint32_t cycle_counter_read(void);
void cycle_counter_wrapped(void);

/* main.c */
extern volatile int32_t firmware_subnet; /* running now; -1 outside of an inference */
int main(void);

/* linker.ld */
extern uint32_t firmware_stack_bottom[], firmware_stack_top[];

#endif /* FIRMWARE_H_ */
