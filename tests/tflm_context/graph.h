/* One graph as `tflm_graphs.py` has placed it in memory: what TFLM would read from a .tflite file. */
#ifndef TFLM_CONTEXT_GRAPH_H_
#define TFLM_CONTEXT_GRAPH_H_

#include <stddef.h>
#include <stdint.h>

extern "C" {

/* Arrays of int are TfLiteIntArrays: the size, then the values. */
struct graph_tensor {
  void* data; /* constants, and activations, too: nothing is planned here */
  int* dims;
  int32_t type;
  int32_t bytes;
  float scale;
  int32_t zero_point;
};

struct graph_node {
  const char* op; /* name of a custom op, or a builtin one of stock_ops.cpp */
  const char* options;
  int* inputs;
  int* outputs;
  size_t option_bytes;
};

struct graph {
  const graph_tensor* tensors;
  const graph_node* nodes;
  uint8_t* arena; /* aligned to 16 bytes */
  void* external; /* what SetMicroExternalContext would be given, or null */
  size_t arena_bytes;
  int32_t tensor_count;
  int32_t node_count;
};

/* Bytes of memory, aligned to 16, that the other functions take as `context`. */
size_t context_bytes(void);

/* Init of every node, then Prepare, as AllocateTensors does. Returns 0, or 1 + the node that failed;
 * its message is in the state of the ops. */
int context_prepare(void* context, const graph* graph);

/* Runs the nodes in their order. Returns 0, or 1 + the node that failed. */
int context_invoke(void* context);

/* Whether no op wrote behind its persistent or scratch memory, or kept a temporary tensor. */
int context_is_intact(void* context);

/* Afterwards the memory may be used for anything else. */
void context_end(void* context);

/* Bytes of arena that the ops keep, in blocks of 16, and that the one which needs most scratch memory
 * takes while it runs. */
size_t context_persistent_bytes(void* context);
size_t context_scratch_bytes(void* context);

}  // extern "C"

#endif  // TFLM_CONTEXT_GRAPH_H_
