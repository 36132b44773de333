/* Plug-in of QEMU (TCG) that counts how often each block of code runs.
 *
 * The counts lie in a file that `qemu.py` has mapped, too: it reads and clears them whenever the
 * processor stands still. Debian has no qemu-plugin.h, so the six functions of QEMU's plug-in
 * interface are declared here; they are the same in all its versions. */
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#ifdef __linux__
#include <signal.h>
#include <sys/prctl.h>
#endif

#define EXPORT __attribute__((visibility("default")))
#define NO_REGISTERS 0 /* QEMU_PLUGIN_CB_NO_REGS */
#define CAPACITY (1u << 16)

typedef uint64_t plugin_id;
typedef struct qemu_plugin_tb block_handle;

extern void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id id,
                                                  void (*callback)(plugin_id, block_handle *));
extern void qemu_plugin_register_vcpu_tb_exec_cb(block_handle *block,
                                                 void (*callback)(unsigned, void *), int flags,
                                                 void *data);
extern size_t qemu_plugin_tb_n_insns(const block_handle *block);
extern uint64_t qemu_plugin_tb_vaddr(const block_handle *block);
extern void qemu_plugin_outs(const char *text);

EXPORT int qemu_plugin_version = PLUGIN_VERSION; /* QEMU below 9: 1, else 2 */

/* A hash table with linear probing; a free entry has no instructions. */
typedef struct {
  uint32_t address, instructions;
  uint64_t executions;
} entry;

static entry *entries;

/* The entry of a block; of the same code cut in another way it is another one. Null if full. */
static entry *find_entry(uint32_t address, uint32_t instructions) {
  const uint32_t hash = (address >> 1) * 2654435761u;
  for (uint32_t probe = 0; probe < CAPACITY; probe++) {
    entry *found = &entries[(hash + probe) % CAPACITY];
    if (found->instructions == 0) *found = (entry){address, instructions, 0};
    if (found->address == address && found->instructions == instructions) return found;
  }
  return NULL;
}

static void count(unsigned processor, void *data) {
  (void)processor;
  ((entry *)data)->executions++;
}

static void instrument(plugin_id id, block_handle *block) {
  (void)id;
  entry *found = find_entry((uint32_t)qemu_plugin_tb_vaddr(block),
                            (uint32_t)qemu_plugin_tb_n_insns(block));
  if (found == NULL) {
    qemu_plugin_outs("The table of counted blocks is full.\n");
    _exit(1);
  }
  qemu_plugin_register_vcpu_tb_exec_cb(block, count, NO_REGISTERS, found);
}

/* The only argument is counts=PATH, a file of CAPACITY zeroed entries. */
EXPORT int qemu_plugin_install(plugin_id id, const void *machine, int count, char **arguments) {
  static const char key[] = "counts=";
  (void)machine;
  if (count != 1 || strncmp(arguments[0], key, sizeof key - 1) != 0) return 1;
#ifdef __linux__
  prctl(PR_SET_PDEATHSIG, SIGKILL); /* never outlive the Python process, however that ends */
#endif
  const int file = open(arguments[0] + sizeof key - 1, O_RDWR);
  if (file < 0) return 1;
  entries = mmap(NULL, CAPACITY * sizeof(entry), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  if (entries == MAP_FAILED) return 1;
  qemu_plugin_register_vcpu_tb_trans_cb(id, instrument);
  return 0;
}
