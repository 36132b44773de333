/* A TFLM without TFLM: runs one graph with our custom ops, freestanding, on any Cortex-M.
 *
 * Persistent and scratch memory come from the arena, one block after the other, with a gap behind
 * each that nobody may write; AddressSanitizer sees every access beside the blocks. */
#include "graph.h"
#include "reds_tflm.h"
#include "stock_ops.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, bytes) ((void)(address))
#define ASAN_UNPOISON_MEMORY_REGION(address, bytes) ((void)(address))
#endif

inline void* operator new(size_t, void* place) noexcept { return place; }

namespace {

using namespace tflite;
using namespace tflite::micro; /* generation 2 has its types here */

constexpr int kMaxScratch = 64;
constexpr int kMaxGaps = 512;
constexpr size_t kAlignment = 16;
constexpr uint8_t kGap = 0x5A;

struct NamedOp {
  const char* name;
  reds::Registration registration;
};

/* What AddOps needs of a MicroMutableOpResolver. */
class Resolver {
 public:
  TfLiteStatus AddCustom(const char* name, const reds::Registration* registration) {
    if (count_ == reds::kOpCount) return kTfLiteError;
    ops_[count_++] = {name, *registration};
    return kTfLiteOk;
  }
  bool Find(const char* name, reds::Registration* registration) const {
    for (int i = 0; i < count_; ++i) {
      if (!SameName(ops_[i].name, name)) continue;
      *registration = ops_[i].registration;
      return true;
    }
    return FindStockOp(name, registration);
  }

 private:
  static bool SameName(const char* a, const char* b) {
    while (*a != '\0' && *a == *b) ++a, ++b;
    return *a == *b;
  }
  NamedOp ops_[reds::kOpCount];
  int count_ = 0;
};

class Context : public MicroContext {
 public:
  explicit Context(const graph& graph) : graph_(graph) {
    ASAN_POISON_MEMORY_REGION(graph_.arena, graph_.arena_bytes);
  }
  ~Context() override { ASAN_UNPOISON_MEMORY_REGION(graph_.arena, graph_.arena_bytes); }

  TfLiteStatus Allocate() {
    tensors_ = Array<TfLiteEvalTensor>(graph_.tensor_count);
    nodes_ = Array<TfLiteNode>(graph_.node_count);
    ops_ = Array<reds::Registration>(graph_.node_count);
    Resolver resolver;
    if (tensors_ == nullptr || nodes_ == nullptr || ops_ == nullptr || !reds::AddOps(resolver)) {
      return kTfLiteError;
    }
    for (int32_t i = 0; i < graph_.tensor_count; ++i) {
      const graph_tensor& tensor = graph_.tensors[i];
      tensors_[i].data.raw = static_cast<char*>(tensor.data);
      tensors_[i].dims = IntArray(tensor.dims);
      tensors_[i].type = static_cast<TfLiteType>(tensor.type);
    }
    for (int32_t i = 0; i < graph_.node_count; ++i) {
      if (!resolver.Find(graph_.nodes[i].op, &ops_[i])) return kTfLiteError;
      nodes_[i].inputs = IntArray(graph_.nodes[i].inputs);
      nodes_[i].outputs = IntArray(graph_.nodes[i].outputs);
    }
    own_bytes_ = Used();
    return kTfLiteOk;
  }

  /* 0, or 1 + the node that failed. */
  int Prepare(TfLiteContext* context) {
    for (int32_t i = 0; i < graph_.node_count; ++i) {
      const graph_node& node = graph_.nodes[i];
      nodes_[i].user_data = ops_[i].init(context, node.options, node.option_bytes);
    }
    for (int32_t i = 0; i < graph_.node_count; ++i) {
      const size_t before = scratch_bytes_;
      if (ops_[i].prepare(context, &nodes_[i]) != kTfLiteOk) return i + 1;
      const size_t added = scratch_bytes_ - before;
      if (added > most_scratch_) most_scratch_ = added;
    }
    return 0;
  }

  int Invoke(TfLiteContext* context) {
    for (int32_t i = 0; i < graph_.node_count; ++i) {
      if (ops_[i].invoke(context, &nodes_[i]) != kTfLiteOk) return i + 1;
    }
    return 0;
  }

  bool IsIntact() const {
    for (int i = 0; i < gaps_; ++i) {
      ASAN_UNPOISON_MEMORY_REGION(gap_[i], kAlignment);
      for (size_t j = 0; j < kAlignment; ++j) {
        if (gap_[i][j] != kGap) return false;
      }
    }
    return temporary_ == 0;
  }

  /* What the ops keep, and what the one that needs most takes while it runs. */
  size_t PersistentBytes() const { return Used() - own_bytes_ - scratch_bytes_; }
  size_t ScratchBytes() const { return most_scratch_; }

  void* AllocatePersistentBuffer(size_t bytes) override {
    const size_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
    if (gaps_ == kMaxGaps || rounded < bytes || rounded + kAlignment > graph_.arena_bytes - used_) {
      return nullptr;
    }
    uint8_t* block = graph_.arena + used_;
    used_ += rounded + kAlignment;
    ASAN_UNPOISON_MEMORY_REGION(block, rounded + kAlignment);
    gap_[gaps_] = block + bytes;
    for (size_t i = 0; i < kAlignment; ++i) gap_[gaps_][i] = kGap;
    ++gaps_;
    ASAN_POISON_MEMORY_REGION(block + bytes, rounded - bytes + kAlignment);
    return block;
  }
  TfLiteStatus RequestScratchBufferInArena(size_t bytes, int* index) override {
    if (scratches_ == kMaxScratch) return kTfLiteError;
    *index = scratches_;
    const size_t before = Used();
    scratch_[scratches_] = AllocatePersistentBuffer(bytes);
    scratch_bytes_ += Used() - before;
    return scratch_[scratches_++] == nullptr ? kTfLiteError : kTfLiteOk;
  }
  void* GetScratchBuffer(int index) override { return scratch_[index]; }
  TfLiteTensor* AllocateTempTfLiteTensor(int index) override {
    const graph_tensor& source = graph_.tensors[index];
    if (temporary_ == kMaxTemporary) return nullptr;
    TfLiteTensor* tensor = &temporaries_[temporary_++];
    *tensor = TfLiteTensor();
    tensor->params.scale = source.scale;
    tensor->params.zero_point = source.zero_point;
    tensor->data.raw = static_cast<char*>(source.data);
    tensor->dims = IntArray(source.dims);
    tensor->bytes = static_cast<size_t>(source.bytes);
    tensor->type = static_cast<TfLiteType>(source.type);
    return tensor;
  }
  void DeallocateTempTfLiteTensor(TfLiteTensor*) override { --temporary_; }
  uint8_t* AllocateTempBuffer(size_t, size_t) override { return nullptr; }
  void DeallocateTempBuffer(uint8_t*) override {}
  TfLiteEvalTensor* GetEvalTensor(int index) override { return &tensors_[index]; }
  TfLiteStatus set_external_context(void*) override { return kTfLiteError; }
  void* external_context() override { return graph_.external; }

 private:
  static constexpr int kMaxTemporary = 4; /* at a time */

  static TfLiteIntArray* IntArray(int* values) { return reinterpret_cast<TfLiteIntArray*>(values); }

  /* Bytes of all blocks, without the gaps. */
  size_t Used() const { return used_ - kAlignment * static_cast<size_t>(gaps_); }

  template <class T>
  T* Array(int32_t count) {
    auto* items = static_cast<T*>(AllocatePersistentBuffer(static_cast<size_t>(count) * sizeof(T)));
    for (int32_t i = 0; items != nullptr && i < count; ++i) items[i] = T();
    return items;
  }

  graph graph_;
  TfLiteEvalTensor* tensors_ = nullptr;
  TfLiteNode* nodes_ = nullptr;
  reds::Registration* ops_ = nullptr;
  size_t used_ = 0;
  size_t own_bytes_ = 0;
  size_t scratch_bytes_ = 0; /* of all nodes */
  size_t most_scratch_ = 0;  /* of one node */
  void* scratch_[kMaxScratch];
  uint8_t* gap_[kMaxGaps];
  int scratches_ = 0;
  int gaps_ = 0;
  int temporary_ = 0;
  TfLiteTensor temporaries_[kMaxTemporary];
};

TfLiteContext Bind(void* context) {
  TfLiteContext bound = {};
  bound.impl_ = context;
  return bound;
}

}  // namespace

extern "C" size_t context_bytes(void) { return sizeof(Context); }

extern "C" int context_prepare(void* context, const graph* graph) {
  auto* made = new (context) Context(*graph);
  TfLiteContext bound = Bind(static_cast<MicroContext*>(made));
  return made->Allocate() == kTfLiteOk ? made->Prepare(&bound) : 1;
}

extern "C" int context_invoke(void* context) {
  auto* made = static_cast<Context*>(context);
  TfLiteContext bound = Bind(static_cast<MicroContext*>(made));
  return made->Invoke(&bound);
}

extern "C" int context_is_intact(void* context) {
  return static_cast<const Context*>(context)->IsIntact();
}

extern "C" void context_end(void* context) { static_cast<Context*>(context)->~Context(); }

extern "C" size_t context_persistent_bytes(void* context) {
  return static_cast<const Context*>(context)->PersistentBytes();
}

extern "C" size_t context_scratch_bytes(void* context) {
  return static_cast<const Context*>(context)->ScratchBytes();
}
