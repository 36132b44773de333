/* nRF5340, application core, in the secure state that it starts in: 128 MHz, cache, UARTE. */
#include "firmware.h"
#include "nordic_uarte.h"

#define CLOCK_TASKS_HFCLKSTART 0x000u
#define CLOCK_EVENTS_HFCLKSTARTED 0x100u
#define CLOCK_HFCLKCTRL 0x558u
#define CACHE_ENABLE 0x500u

void chip_start(void) {
  REGISTER(BOARD_CACHE, CACHE_ENABLE) = 1;
  REGISTER(BOARD_CLOCK, CLOCK_HFCLKCTRL) = 0; /* undivided: 128 MHz; after reset 64 MHz */
  REGISTER(BOARD_CLOCK, CLOCK_TASKS_HFCLKSTART) = 1;
  wait_ready(BOARD_CLOCK + CLOCK_EVENTS_HFCLKSTARTED, 1);
  uarte_start();
}

void chip_send(const char *text, uint32_t length) { uarte_send(text, length); }
