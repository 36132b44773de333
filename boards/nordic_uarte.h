/* UARTE of Nordic's nRF52 and nRF53: sends from RAM by DMA. */
#ifndef NORDIC_UARTE_H_
#define NORDIC_UARTE_H_

#include "board.h"
#include "registers.h"

#define UARTE_TASKS_STARTTX 0x008u
#define UARTE_EVENTS_ENDTX 0x120u
#define UARTE_ENABLE 0x500u
#define UARTE_PSEL_TXD 0x50Cu
#define UARTE_BAUDRATE 0x524u
#define UARTE_TXD_PTR 0x544u
#define UARTE_TXD_MAXCNT 0x548u
#define UARTE_ENABLED 8u
#define UARTE_115200_BAUD 0x01D7E000u

static inline void uarte_start(void) {
  REGISTER(BOARD_UARTE, UARTE_PSEL_TXD) = BOARD_SERIAL_TX_PIN;
  REGISTER(BOARD_UARTE, UARTE_BAUDRATE) = UARTE_115200_BAUD;
  REGISTER(BOARD_UARTE, UARTE_ENABLE) = UARTE_ENABLED;
}

/* `text` must lie in RAM, which is what the DMA reaches. */
static inline void uarte_send(const char *text, uint32_t length) {
  REGISTER(BOARD_UARTE, UARTE_EVENTS_ENDTX) = 0;
  REGISTER(BOARD_UARTE, UARTE_TXD_PTR) = (uint32_t)text;
  REGISTER(BOARD_UARTE, UARTE_TXD_MAXCNT) = length;
  REGISTER(BOARD_UARTE, UARTE_TASKS_STARTTX) = 1;
  while (REGISTER(BOARD_UARTE, UARTE_EVENTS_ENDTX) == 0) {
  }
}

#endif /* NORDIC_UARTE_H_ */
