/* What an application calls of TensorFlow Lite Micro, declared as in its two generations (see
 * micro_context.h of the ops' declarations), so that examples compile without it. */
#ifndef TFLM_API_MICRO_INTERPRETER_H_
#define TFLM_API_MICRO_INTERPRETER_H_

#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"

REDS_BEGIN_CLASSES

class MicroInterpreter {
 public:
  MicroInterpreter(const tflite::Model *model, const MicroOpResolver &resolver, uint8_t *arena,
                   size_t arena_bytes);
  ~MicroInterpreter();
  TfLiteStatus AllocateTensors();
  TfLiteStatus Invoke();
  template <class T>
  T *typed_input_tensor(int index);
  template <class T>
  T *typed_output_tensor(int index);
};

REDS_END_CLASSES

#endif  // TFLM_API_MICRO_INTERPRETER_H_
