/* nRF52840 at 64 MHz: crystal clock, instruction cache, UARTE. */
#include "firmware.h"
#include "nordic_uarte.h"

#define CLOCK_TASKS_HFCLKSTART 0x000u
#define CLOCK_EVENTS_HFCLKSTARTED 0x100u
#define NVMC_ICACHECNF 0x540u

void chip_start(void) {
  REGISTER(BOARD_NVMC, NVMC_ICACHECNF) = 1; /* off after reset */
  REGISTER(BOARD_CLOCK, CLOCK_TASKS_HFCLKSTART) = 1;
  wait_ready(BOARD_CLOCK + CLOCK_EVENTS_HFCLKSTARTED, 1);
  uarte_start();
}

void chip_send(const char *text, uint32_t length) { uarte_send(text, length); }
