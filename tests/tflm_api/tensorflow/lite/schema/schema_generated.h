/* What an application calls of TensorFlow Lite Micro; see micro_interpreter.h. */
#ifndef TFLM_API_SCHEMA_GENERATED_H_
#define TFLM_API_SCHEMA_GENERATED_H_

namespace tflite {
class Model;
const Model *GetModel(const void *data);
}  // namespace tflite

#endif  // TFLM_API_SCHEMA_GENERATED_H_
