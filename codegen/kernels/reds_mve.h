/* What the vector bodies share: requantisation and activation of four int32 sums, and the packed
 * order of inputs. For cores with the M-profile Vector Extension (Helium), such as the Cortex-M55.
 * Not public. */
#ifndef REDS_MVE_H_
#define REDS_MVE_H_

#include <arm_mve.h>

#include "reds_support.h"

#define REDS_LANES 4           /* int32 in a vector */
#define REDS_MIDDLE_BYTES 0x6666 /* predicate: bytes 1 and 2 of every four */

/* The tables of up to four channels. */
typedef struct {
  int32x4_t multiplier;
  int32x4_t shift; /* to the left if positive */
} reds_four_factors;

static inline reds_four_factors reds_load_factors(const reds_outputs *outputs, int32_t channel,
                                                  mve_pred16_t active) {
  const reds_four_factors factors = {vldrwq_z_s32(outputs->multiplier + channel, active),
                                     vldrbq_z_s32(outputs->shift + channel, active)};
  return factors;
}

/* value * 2^max(shift, 0) */
static inline int32x4_t reds_shift_left(int32x4_t value, int32x4_t shift) {
  return vshlq_s32(value, vmaxq_s32(shift, vdupq_n_s32(0)));
}

/* What is left of reds_requantise after reds_shift_left, for a shift of at most 0. */
static inline int32x4_t reds_scale_down(int32x4_t value, int32x4_t multiplier, int32x4_t shift) {
  value = vqrdmulhq_s32(value, multiplier);
  /* One less for negatives that are shifted turns half up into half away from zero. */
  value = vaddq_s32(value, vshrq_n_s32(vandq_s32(value, shift), 31));
  return vrshlq_s32(value, shift);
}

/* reds_requantise, four times. */
static inline int32x4_t reds_requantise_four(int32x4_t value, reds_four_factors factors) {
  const int32x4_t right = vminq_s32(factors.shift, vdupq_n_s32(0));
  return reds_scale_down(reds_shift_left(value, factors.shift), factors.multiplier, right);
}

/* reds_clamp of four requantised sums. */
static inline int32x4_t reds_clamp_four(const reds_outputs *outputs, int32x4_t scaled) {
  const int32x4_t lowest = vdupq_n_s32(outputs->activation.min);
  const int32x4_t highest = vdupq_n_s32(outputs->activation.max);
  return vminq_s32(vmaxq_s32(vaddq_n_s32(scaled, outputs->offset), lowest), highest);
}

/* Entries of a table for input 0. */
static inline int32x4_t reds_look_up_four(const int8_t *lookup, int32x4_t inputs) {
  return vldrbq_gather_offset_s32(lookup + 128, vreinterpretq_u32_s32(inputs));
}

/* reds_activate, four times. */
static inline int32x4_t reds_activate_four(const reds_outputs *outputs, int32x4_t scaled) {
  const int32x4_t clamped = reds_clamp_four(outputs, scaled);
  return outputs->lookup == NULL ? clamped : reds_look_up_four(outputs->lookup, clamped);
}

/* Four groups of four inputs in the order of packed weights. */
static inline int8x16_t reds_pack_groups(int8x16_t inputs) {
  return vpselq_s8(vrev32q_s8(inputs), inputs, REDS_MIDDLE_BYTES);
}

/* Inputs behind the last sixteen of a segment. */
typedef struct {
  mve_pred16_t inputs; /* they */
  mve_pred16_t groups; /* all of their groups */
  int8x16_t padding;   /* the zero point where a group is filled up, else 0 */
} reds_last_inputs;

static inline reds_last_inputs reds_make_last(int32_t count, int32_t offset) {
  const mve_pred16_t inputs = vctp8q((uint32_t)count);
  const int8x16_t padding = vpselq_s8(vdupq_n_s8(0), vdupq_n_s8((int8_t)-offset), inputs);
  const reds_last_inputs last = {inputs, vctp8q((uint32_t)(count + 3) & ~3u), padding};
  return last;
}

static inline void reds_pack_last(const int8_t *input, const reds_last_inputs *last,
                                  int8_t *packed) {
  const int8x16_t inputs = vorrq_s8(vldrbq_z_s8(input, last->inputs), last->padding);
  vstrbq_p_s8(packed, reds_pack_groups(inputs), last->groups);
}

/* Packs whole groups, as many as make vectors of `length` inputs. */
static inline void reds_pack_sixteens(const int8_t *input, int32_t length, int8_t *packed) {
  for (; length >= 16; length -= 16, input += 16, packed += 16) {
    vstrbq_s8(packed, reds_pack_groups(vldrbq_s8(input)));
  }
}

/* Packs `length` inputs, the last group filled up with the zero point. */
static inline void reds_pack_inputs(const int8_t *input, int32_t length, int32_t offset,
                                    int8_t *packed) {
  const int32_t rest = length % 16;
  reds_pack_sixteens(input, length, packed);
  if (rest == 0) return;
  const reds_last_inputs last = reds_make_last(rest, offset);
  reds_pack_last(input + length - rest, &last, packed + length - rest);
}

#endif /* REDS_MVE_H_ */
