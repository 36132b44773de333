/* Requantisation in assembly, for cores with the DSP extension. Not public. */
#ifndef REDS_REQUANTISE_DSP_H_
#define REDS_REQUANTISE_DSP_H_

/* One less for negatives turns half up into half away from zero. */
#define REDS_SIGN(x) "add.w " x ", " x ", " x ", asr #31\n\t"

/* The int8 output of the sum in `x`: the high half of its product with the doubled multiplier `m`
 * (see reds_rounding_high_multiply), the rounding shift by `n`, the zero point in r10. */
#define REDS_REQUANTISE(x, m, n, sign)                                     \
  "smmlar " x ", " x ", " m ", " x "\n\t" sign "asrs.w " x ", " x ", " n "\n\t" \
  "sbc.w " x ", " x ", r10\n\t"                                            \
  "ssat " x ", #8, " x "\n\t"

#endif /* REDS_REQUANTISE_DSP_H_ */
