/* What an application calls of TensorFlow Lite Micro, declared as in its two generations (see
 * micro_context.h of the ops' declarations): examples compile without TFLM, and run with the
 * interpreter of a `tflite-micro` wheel. */
#ifndef TFLM_API_MICRO_INTERPRETER_H_
#define TFLM_API_MICRO_INTERPRETER_H_

#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"

REDS_BEGIN_CLASSES

class MicroResourceVariables;
class MicroProfilerInterface;

class MicroInterpreter {
 public:
  MicroInterpreter(const tflite::Model *model, const MicroOpResolver &resolver, uint8_t *arena,
                   size_t arena_bytes, MicroResourceVariables *variables = nullptr,
                   MicroProfilerInterface *profiler = nullptr, bool preserve_all_tensors = false);
  TfLiteStatus AllocateTensors();
  TfLiteStatus Invoke();
  TfLiteTensor *input(size_t index);
  TfLiteTensor *output(size_t index);
  template <class T>
  T *typed_input_tensor(int index) {
    return reinterpret_cast<T *>(input(static_cast<size_t>(index))->data.raw);
  }
  template <class T>
  T *typed_output_tensor(int index) {
    return reinterpret_cast<T *>(output(static_cast<size_t>(index))->data.raw);
  }

 private:
  alignas(16) char members_[4096]; /* more than the runtime's class has */
};

REDS_END_CLASSES

#endif  // TFLM_API_MICRO_INTERPRETER_H_
