/* What an application calls of TensorFlow Lite Micro; see micro_interpreter.h. */
#ifndef TFLM_API_SCHEMA_GENERATED_H_
#define TFLM_API_SCHEMA_GENERATED_H_

#include <stdint.h>
#include <string.h>

namespace tflite {
class Model;

/* The first word of a flatbuffer is the offset of its root. */
inline const Model *GetModel(const void *data) {
  uint32_t root;
  memcpy(&root, data, sizeof root);
  return reinterpret_cast<const Model *>(static_cast<const char *>(data) + root);
}
}  // namespace tflite

#endif  // TFLM_API_SCHEMA_GENERATED_H_
