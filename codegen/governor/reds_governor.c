#include "reds_governor.h"

#define FRACTION_BITS 12 /* of reds_governor.speed */
#define LOWEST_SPEED (REDS_SPEED_AS_EXPECTED / 16)
#define HIGHEST_SPEED (REDS_SPEED_AS_EXPECTED * 4)
#define COST_LIMIT (1u << 30) /* costs are below */
#define MARGIN_SHIFT 3
#define ADAPTATION_SHIFT 3

/* What the next inference may cost, in the table's units. */
typedef struct {
  uint32_t time_us;
  uint32_t energy_uj;
  uint32_t battery_uj; /* above the energy of the cheapest subnet */
} limits;

static int32_t is_sorted(const reds_cost *costs, int32_t count) {
  for (int32_t i = 1; i < count; i++) {
    if (costs[i].time_us < costs[i - 1].time_us) return 0;
    if (costs[i].energy_uj < costs[i - 1].energy_uj) return 0;
  }
  return costs[count - 1].time_us < COST_LIMIT && costs[count - 1].energy_uj < COST_LIMIT;
}

reds_status reds_governor_init(reds_governor *governor, const reds_cost *costs, int32_t count) {
  if (governor == NULL || costs == NULL || count < 1) return REDS_ERROR_ARGUMENT;
  if (!is_sorted(costs, count)) return REDS_ERROR_ARGUMENT;
  const reds_governor fresh = {.cheapest = costs,
                               .dearest = &costs[count - 1],
                               .chosen = costs,
                               .subnet = costs->subnet,
                               .margin_shift = MARGIN_SHIFT,
                               .speed = REDS_SPEED_AS_EXPECTED};
  *governor = fresh;
  return REDS_OK;
}

/* value * factor / 4096, rounded down, for factors up to 4 * 4096; without a 64-bit product, which
 * the Cortex-M0 has no instruction for. */
static uint32_t scaled(uint32_t value, uint32_t factor) {
  if (value >= COST_LIMIT) return REDS_UNLIMITED;
  const uint32_t low = value & ((1u << FRACTION_BITS) - 1);
  return (value >> FRACTION_BITS) * factor + (low * factor >> FRACTION_BITS);
}

/* From none to 3/2 of what the dearest subnet takes more than the cheapest. */
static uint32_t battery_share(const reds_governor *governor, uint32_t permille) {
  if (permille >= 1000) return 2 * COST_LIMIT;
  const uint32_t range = governor->dearest->energy_uj - governor->cheapest->energy_uj;
  return scaled(range, permille * 6292 >> 10); /* 6292 / 1024 = 3/2 * 4096 / 1000 */
}

/* On a device at half the expected speed half of what is available counts. */
static limits limits_of(const reds_governor *governor, const reds_available *available) {
  const limits all = {scaled(available->deadline_us, governor->speed),
                      scaled(available->energy_uj, governor->speed),
                      battery_share(governor, available->battery_permille)};
  return all;
}

static limits less_margin(limits all, uint32_t shift) {
  all.time_us -= all.time_us >> shift;
  all.energy_uj -= all.energy_uj >> shift;
  all.battery_uj -= all.battery_uj >> shift;
  return all;
}

/* The first cost from `cost` on that does not fit, or `end`. */
static const reds_cost *first_too_dear(const reds_cost *cost, const reds_cost *end,
                                       const limits *all, uint32_t lowest_energy) {
  const uint32_t battery = lowest_energy + all->battery_uj;
  const uint32_t energy = all->energy_uj < battery ? all->energy_uj : battery;
  while (cost < end && cost->time_us <= all->time_us && cost->energy_uj <= energy) cost++;
  return cost;
}

reds_status reds_governor_choose(reds_governor *governor, const reds_available *available) {
  if (governor == NULL || available == NULL) return REDS_ERROR_ARGUMENT;
  const reds_cost *cheapest = governor->cheapest, *dearer = governor->chosen + 1;
  limits all = limits_of(governor, available);
  const reds_cost *end = first_too_dear(cheapest, dearer, &all, cheapest->energy_uj);
  governor->fits = end > cheapest;
  if (end == dearer) {
    all = less_margin(all, governor->margin_shift);
    end = first_too_dear(dearer, governor->dearest + 1, &all, cheapest->energy_uj);
  }
  governor->chosen = governor->fits ? end - 1 : cheapest;
  governor->subnet = governor->chosen->subnet;
  return REDS_OK;
}

/* 4096 * expected / measured, within the bounds of a speed. */
static uint32_t speed_of(uint32_t expected, uint32_t measured) {
  while (expected >> 20 != 0) {
    expected >>= 1;
    measured >>= 1;
  }
  if (measured == 0) return HIGHEST_SPEED;
  const uint32_t speed = (expected << FRACTION_BITS) / measured;
  if (speed > HIGHEST_SPEED) return HIGHEST_SPEED;
  return speed < LOWEST_SPEED ? LOWEST_SPEED : speed;
}

reds_status reds_governor_measured(reds_governor *governor, int32_t subnet, uint32_t time_us) {
  if (governor == NULL) return REDS_ERROR_ARGUMENT;
  const reds_cost *cost = governor->cheapest;
  while (cost <= governor->dearest && cost->subnet != subnet) cost++;
  if (cost > governor->dearest) return REDS_ERROR_SUBNET;
  const uint32_t speed = speed_of(cost->time_us, time_us);
  if (speed < governor->speed) {
    governor->speed = speed;
  } else {
    governor->speed += (speed - governor->speed) >> ADAPTATION_SHIFT;
  }
  return REDS_OK;
}
