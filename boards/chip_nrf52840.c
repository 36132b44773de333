/* nRF52840: crystal clock, instruction cache, UARTE0 by polling. */
#include "board.h"
#include "firmware.h"

#define REGISTER(base, offset) (*(volatile uint32_t *)((base) + (offset)))
#define CLOCK_TASKS_HFCLKSTART REGISTER(BOARD_CLOCK, 0x000)
#define CLOCK_EVENTS_HFCLKSTARTED REGISTER(BOARD_CLOCK, 0x100)
#define NVMC_ICACHECNF REGISTER(BOARD_NVMC, 0x540)
#define UARTE_TASKS_STARTTX REGISTER(BOARD_UARTE, 0x008)
#define UARTE_EVENTS_ENDTX REGISTER(BOARD_UARTE, 0x120)
#define UARTE_ENABLE REGISTER(BOARD_UARTE, 0x500)
#define UARTE_PSEL_TXD REGISTER(BOARD_UARTE, 0x50C)
#define UARTE_BAUDRATE REGISTER(BOARD_UARTE, 0x524)
#define UARTE_TXD_PTR REGISTER(BOARD_UARTE, 0x544)
#define UARTE_TXD_MAXCNT REGISTER(BOARD_UARTE, 0x548)

#define UARTE_ENABLED 8u
#define BAUD_115200 0x01D7E000u
/* The crystal needs 0.4 ms; a board whose crystal fails still runs, on the internal oscillator. */
#define CRYSTAL_POLLS 20000

void chip_start(void) {
  NVMC_ICACHECNF = 1; /* off after reset */
  CLOCK_TASKS_HFCLKSTART = 1;
  for (int32_t i = 0; i < CRYSTAL_POLLS && CLOCK_EVENTS_HFCLKSTARTED == 0; i++) {
  }
  UARTE_PSEL_TXD = BOARD_UARTE_TX_PIN;
  UARTE_BAUDRATE = BAUD_115200;
  UARTE_ENABLE = UARTE_ENABLED;
}

/* `text` must lie in RAM: the UARTE reads it by DMA, which cannot reach flash. */
void chip_send(const char *text, uint32_t length) {
  UARTE_EVENTS_ENDTX = 0;
  UARTE_TXD_PTR = (uint32_t)text;
  UARTE_TXD_MAXCNT = length;
  UARTE_TASKS_STARTTX = 1;
  while (UARTE_EVENTS_ENDTX == 0) {
  }
}
