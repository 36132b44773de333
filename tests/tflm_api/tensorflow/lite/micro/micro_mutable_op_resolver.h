/* What an application calls of TensorFlow Lite Micro; see micro_interpreter.h. */
#ifndef TFLM_API_MICRO_MUTABLE_OP_RESOLVER_H_
#define TFLM_API_MICRO_MUTABLE_OP_RESOLVER_H_

#include "tensorflow/lite/micro/micro_context.h"

REDS_BEGIN_CLASSES

class MicroOpResolver {};

template <unsigned int kOpCount>
class MicroMutableOpResolver : public MicroOpResolver {
 public:
  MicroMutableOpResolver();
  TfLiteStatus AddCustom(const char *name, const TFLMRegistration *registration);
  TfLiteStatus AddReshape();
  TfLiteStatus AddSoftmax();
};

REDS_END_CLASSES

#endif  // TFLM_API_MICRO_MUTABLE_OP_RESOLVER_H_
