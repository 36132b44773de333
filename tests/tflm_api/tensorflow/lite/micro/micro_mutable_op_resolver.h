/* What an application calls of TensorFlow Lite Micro; see micro_interpreter.h. */
#ifndef TFLM_API_MICRO_MUTABLE_OP_RESOLVER_H_
#define TFLM_API_MICRO_MUTABLE_OP_RESOLVER_H_

#include <string.h>

#include "tensorflow/lite/micro/micro_context.h"

namespace tflite {
enum BuiltinOperator : int32_t;
}

REDS_BEGIN_CLASSES

/* The order of the virtual functions is that of the runtime. */
class MicroOpResolver {
 public:
  virtual const TFLMRegistration *FindOp(tflite::BuiltinOperator op) const = 0;
  virtual const TFLMRegistration *FindOp(const char *name) const = 0;
  virtual void *GetOpDataParser(tflite::BuiltinOperator op) const = 0;
  virtual ~MicroOpResolver() = default;
};

/* Of custom ops alone: the model that the tests run needs no stock op; others only compile. */
template <unsigned int kOpCount>
class MicroMutableOpResolver : public MicroOpResolver {
 public:
  TfLiteStatus AddCustom(const char *name, const TFLMRegistration *registration) {
    if (count_ == kOpCount) return kTfLiteError;
    ops_[count_] = *registration;
    ops_[count_].builtin_code = 32; /* BuiltinOperator_CUSTOM */
    ops_[count_].custom_name = name;
    count_ += 1;
    return kTfLiteOk;
  }
  TfLiteStatus AddReshape() { return kTfLiteOk; }
  TfLiteStatus AddSoftmax() { return kTfLiteOk; }
  const TFLMRegistration *FindOp(tflite::BuiltinOperator) const override { return nullptr; }
  const TFLMRegistration *FindOp(const char *name) const override {
    for (unsigned int i = 0; i < count_; i++) {
      if (strcmp(ops_[i].custom_name, name) == 0) return &ops_[i];
    }
    return nullptr;
  }
  void *GetOpDataParser(tflite::BuiltinOperator) const override { return nullptr; }

 private:
  TFLMRegistration ops_[kOpCount];
  unsigned int count_ = 0;
};

REDS_END_CLASSES

#endif  // TFLM_API_MICRO_MUTABLE_OP_RESOLVER_H_
