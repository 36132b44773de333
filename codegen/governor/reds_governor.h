/* Picks the subnet for what an inference may cost: time, energy, or a share of the battery.
 *
 *   static reds_governor governor;
 *   reds_governor_init(&governor, kws_costs, KWS_COSTS);
 *   for (;;) {
 *     const reds_available available = {.deadline_us = time_left(), .energy_uj = REDS_UNLIMITED,
 *                                       .battery_permille = REDS_UNLIMITED};
 *     reds_governor_choose(&governor, &available);
 *     reds_set_subnet(&state, governor.subnet);
 *     ... reds_invoke(&state, input, output);
 *     reds_governor_measured(&governor, state.active, elapsed_us);    // optional
 *   }
 *
 * Integers only, no heap, no globals; a decision takes fewer than 200 instructions for up to eight
 * subnets, on a Cortex-M0 too. */
#ifndef REDS_GOVERNOR_H_
#define REDS_GOVERNOR_H_

#include "reds.h"

#ifdef __cplusplus
extern "C" {
#endif

#define REDS_UNLIMITED UINT32_MAX
#define REDS_SPEED_AS_EXPECTED 4096u

/* One inference of one subnet. A table of them is sorted: each is at least as dear as the one before
 * and more accurate. The generated <name>_costs.c holds the subnets for which that is true; one that
 * costs more than a subnet as accurate is never worth choosing. */
typedef struct {
  int32_t subnet;
  uint32_t time_us;
  uint32_t energy_uj;         /* 0: not known; it then limits nothing */
  uint32_t accuracy_permille; /* 0: not known; for the reader */
} reds_cost;

/* What the next inference may cost; REDS_UNLIMITED where nothing limits it. Limits of 2^30 us
 * (18 minutes) or 2^30 uJ and more count as none. */
typedef struct {
  uint32_t deadline_us;
  uint32_t energy_uj;
  /* 0 (empty) .. 1000 (full). An empty battery allows the energy of the cheapest subnet; from two
   * thirds on, that of the dearest; between them, a share that rises with the level. */
  uint32_t battery_permille;
} reds_available;

typedef struct {
  const reds_cost *cheapest, *dearest, *chosen; /* in the table */
  int32_t subnet;                               /* that was chosen last */
  int32_t fits; /* whether it costs no more than was available */
  /* A dearer subnet must leave this part of every limit over: 1 / 2^margin_shift, 1 .. 31. */
  uint32_t margin_shift;
  uint32_t speed; /* expected time / measured time, in 1/4096 */
} reds_governor;

/* Begins with the cheapest subnet, a margin of 1/8, and costs as in the table, which must stay in
 * memory. REDS_ERROR_ARGUMENT: a null pointer, no cost, one of 2^30 or more, or a table not sorted. */
reds_status reds_governor_init(reds_governor *governor, const reds_cost *costs, int32_t count);

/* Chooses `governor->subnet`: the dearest that fits; if none does, the cheapest, with
 * `governor->fits` 0. A subnet that no longer fits is left at once; a dearer one must fit with the
 * margin. So limits whose noise stays in a band (highest - highest / 2^margin_shift <= lowest) make
 * the choice rise or fall, but never both. */
reds_status reds_governor_choose(reds_governor *governor, const reds_available *available);

/* Tells what an inference of `subnet` took, interrupts included. The costs of all subnets follow,
 * as flash, clock and load slow all of them: at once if it took longer than expected, by 1/8 of the
 * difference if it took less. Energy follows time. REDS_ERROR_SUBNET: not in the table. */
reds_status reds_governor_measured(reds_governor *governor, int32_t subnet, uint32_t time_us);

#ifdef __cplusplus
}
#endif
#endif /* REDS_GOVERNOR_H_ */
