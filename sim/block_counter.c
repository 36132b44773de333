/* Counts (previous block, block) edges while Unicorn runs, each for the op that executes.
 *
 * Called by Unicorn itself, without Python in between: 500 instead of 20 million instructions a
 * second. Built for the host at run time; `compiled_counter.py` mirrors the structures, and
 * `python_counter.py` holds the same algorithm in Python. */
#include <stdint.h>

#define MEMORY_READ 16 /* UC_MEM_READ */
#define LINK_REGISTER 10 /* UC_ARM_REG_LR */
#define OP_REGISTER 67   /* UC_ARM_REG_R1, the second argument of reds_run_op */
#define STATUS_REGISTER 3 /* UC_ARM_REG_CPSR */
#define IT_BITS 0x0600FC00u

typedef struct {
  uint32_t source, source_size; /* address and bytes of the previous block; 0, 0 at the start */
  uint32_t target, target_size;
  uint32_t slot;         /* op, or op_count outside of all ops */
  uint32_t instructions; /* in the target block */
  uint64_t count;
} edge;

typedef struct {
  int32_t (*read_memory)(void *engine, uint64_t address, void *bytes, uint64_t size);
  int32_t (*read_register)(void *engine, int32_t id, void *value);
  int32_t (*write_register)(void *engine, int32_t id, const void *value);
  int32_t (*stop)(void *engine);
  uint32_t run_op;             /* address of reds_run_op */
  uint32_t op_table, op_bytes; /* address of the ops, bytes of one */
  uint32_t flash_start, flash_end;
  edge *edges; /* hash table with linear probing; a free entry has count 0 */
  uint32_t capacity, used;
  uint64_t *flash_reads;      /* by slot */
  uint64_t *unaligned_cycles; /* by slot */
  uint64_t instructions, limit;
  uint32_t op_count;
  uint32_t slot, return_address, source, source_size;
  uint32_t *cache;      /* numbers of the lines it holds, the latest used first */
  uint32_t lines, held; /* that fit, 0 while nobody asks; and that are there */
  uint32_t line_bytes;
  uint64_t *fetches; /* by slot */
} counter;

/* Thumb: the first halfword tells the length. */
static uint32_t count_instructions(const counter *self, void *engine, uint32_t address,
                                   uint32_t size) {
  uint32_t instructions = 0;
  for (uint32_t offset = 0; offset < size; instructions++) {
    uint16_t halfword = 0;
    self->read_memory(engine, address + offset, &halfword, 2);
    offset += halfword >> 11 >= 0x1D ? 4 : 2;
  }
  return instructions;
}

static edge *find_edge(counter *self, void *engine, uint32_t target, uint32_t target_size) {
  const uint32_t mask = self->capacity - 1;
  uint32_t hash = (target >> 1) * 2654435761u ^ (self->source >> 1) * 2246822519u ^ self->slot;
  for (uint32_t index = hash ^ hash >> 15;; index++) {
    edge *entry = &self->edges[index & mask];
    if (entry->count == 0) {
      const edge fresh = {self->source, self->source_size, target, target_size, self->slot,
                          count_instructions(self, engine, target, target_size), 0};
      *entry = fresh;
      self->used++;
      return entry;
    }
    if (entry->target == target && entry->source == self->source && entry->slot == self->slot &&
        entry->target_size == target_size && entry->source_size == self->source_size) {
      return entry;
    }
  }
}

/* An op lasts from the call of reds_run_op until the block that its caller continues with. */
static void follow_ops(counter *self, void *engine, uint32_t address) {
  if (address == self->run_op) {
    uint32_t link = 0, op = 0;
    self->read_register(engine, LINK_REGISTER, &link);
    self->read_register(engine, OP_REGISTER, &op);
    self->return_address = link & ~1u;
    self->slot = (op - self->op_table) / self->op_bytes;
  } else if (address == self->return_address) {
    self->return_address = 0;
    self->slot = self->op_count;
  }
}

/* Moves `line` to the front, over the one used longest ago where it was not held. */
static void fetch_line(counter *self, uint32_t line) {
  uint32_t index = 0;
  while (index < self->held && self->cache[index] != line) index++;
  if (index == self->held) {
    self->fetches[self->slot]++;
    if (self->held < self->lines) {
      self->held++;
    } else {
      index--;
    }
  }
  for (; index > 0; index--) self->cache[index] = self->cache[index - 1];
  self->cache[0] = line;
}

static void fetch(counter *self, uint32_t address, uint32_t size) {
  if (self->lines == 0 || address < self->flash_start || address >= self->flash_end) return;
  const uint32_t last = (address + size - 1) / self->line_bytes;
  for (uint32_t line = address / self->line_bytes; line <= last; line++) fetch_line(self, line);
}

/* UC_HOOK_BLOCK */
void count_block(void *engine, uint64_t address, uint32_t size, counter *self) {
  follow_ops(self, engine, (uint32_t)address);
  edge *entry = find_edge(self, engine, (uint32_t)address, size);
  entry->count++;
  self->instructions += entry->instructions;
  self->source = (uint32_t)address;
  self->source_size = size;
  fetch(self, (uint32_t)address, size);
  if (self->instructions > self->limit || self->used > self->capacity / 4 * 3) self->stop(engine);
}

/* Unicorn issue 2309: for a memory hook inside an IT block it writes the IT state to the status
 * register, where the code after the block finds it and faults. */
static void clear_it_state(const counter *self, void *engine) {
  uint32_t status = 0;
  self->read_register(engine, STATUS_REGISTER, &status);
  if (status & IT_BITS) {
    status &= ~IT_BITS;
    self->write_register(engine, STATUS_REGISTER, &status);
  }
}

/* UC_HOOK_MEM_READ and UC_HOOK_MEM_WRITE */
void count_access(void *engine, int32_t type, uint64_t address, int32_t size, int64_t value,
                  counter *self) {
  (void)value;
  clear_it_state(self, engine);
  if (type == MEMORY_READ && address >= self->flash_start && address < self->flash_end) {
    self->flash_reads[self->slot]++;
  }
  if (address & (uint64_t)(size - 1)) self->unaligned_cycles[self->slot] += address & 1 ? 2 : 1;
}
