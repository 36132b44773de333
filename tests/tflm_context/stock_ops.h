/* The stock ops that stand between ours. */
#ifndef TFLM_CONTEXT_STOCK_OPS_H_
#define TFLM_CONTEXT_STOCK_OPS_H_

#include "reds_tflm.h"

/* The registration of a builtin op; false if this context has none. */
bool FindStockOp(const char* name, reds::Registration* registration);

#endif  // TFLM_CONTEXT_STOCK_OPS_H_
