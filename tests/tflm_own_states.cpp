/* The custom ops of the `tflite-micro` wheel with a state for each interpreter: Python cannot call
 * SetMicroExternalContext, so the first of our ops to be initialised does. */
#define reds_tflm_register reds_tflm_register_plain
#include "../codegen/tflm/python_ops.cpp"
#undef reds_tflm_register

#include <utility>

namespace tflite {
namespace micro {
namespace reds {

namespace {

reds_tflm_state states[] = {REDS_TFLM_STATE, REDS_TFLM_STATE};
int next_state = 0;
void* (*original_init[kOpCount])(Context*, const char*, size_t);

template <size_t index>
void* InitWithState(Context* context, const char* options, size_t length) {
  MicroContext* micro = GetMicroContext(context);
  if (micro->external_context() == nullptr) micro->set_external_context(&states[next_state++]);
  return original_init[index](context, options, length);
}

template <size_t... index>
void Wrap(Registration* ops, std::index_sequence<index...>) {
  int order[] = {(original_init[index] = ops[index].init, ops[index].init = InitWithState<index>, 0)...};
  (void)order;
}

}  // namespace

extern "C" bool reds_tflm_register(void* resolver) {
  auto* wheel = static_cast<WheelResolver*>(resolver);
  /* The wheel makes a resolver for each interpreter, with ops that are not wrapped yet. */
  if (!reds_tflm_register_plain(resolver)) return false;
  Wrap(&wheel->registrations[wheel->length - kOpCount], std::make_index_sequence<kOpCount>());
  return true;
}

extern "C" int own_state_set_subnet(int index, int subnet) {
  return reds_tflm_state_set_subnet(&states[index], subnet);
}

extern "C" int own_state_active(int index) { return states[index].active; }

}  // namespace reds
}  // namespace micro
}  // namespace tflite
