/* A small stand-in for libFuzzer where there is only gcc: mutates inputs and keeps those that reach
 * new code. The target is compiled with -fsanitize-coverage=trace-pc, this file without.
 *
 *   program RUNS SEED FILE...      each FILE is a first input; prints runs, inputs kept, edges */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
extern "C" void __sanitizer_set_death_callback(void (*callback)());

namespace {

using Bytes = std::vector<uint8_t>;

constexpr size_t kEdges = 1 << 16;
constexpr size_t kLongest = 4096;
bool reached[kEdges];
size_t edges;
uintptr_t previous;
Bytes current;

void PrintInput() {
  fprintf(stderr, "\ninput:");
  for (uint8_t byte : current) fprintf(stderr, " %02x", byte);
  fprintf(stderr, "\n");
}

class Mutator {
 public:
  explicit Mutator(unsigned seed) : random_(seed) {}

  size_t Below(size_t bound) { return random_() % bound; }

  /* One to four changes: bits, bytes, inserted, erased or copied pieces. */
  Bytes Mutate(Bytes bytes, const Bytes& other) {
    for (size_t changes = 1 + Below(4); changes > 0; --changes) Change(&bytes, other);
    return bytes;
  }

 private:
  void Change(Bytes* bytes, const Bytes& other) {
    static constexpr uint8_t kExtremes[] = {0, 1, 2, 0x7F, 0x80, 0xFE, 0xFF};
    if (bytes->empty()) bytes->push_back(0);
    const size_t place = Below(bytes->size());
    const size_t length = 1 + Below(bytes->size() - place);
    const auto at = bytes->begin() + static_cast<std::ptrdiff_t>(place);
    switch (Below(6)) {
      case 0: *at ^= static_cast<uint8_t>(1u << Below(8)); break;
      case 1: *at = static_cast<uint8_t>(random_()); break;
      case 2: *at = kExtremes[Below(sizeof kExtremes)]; break;
      case 3: bytes->erase(at, at + static_cast<std::ptrdiff_t>(length)); break;
      case 4: bytes->insert(at, 1 + Below(8), static_cast<uint8_t>(random_())); break;
      case 5:
        for (size_t i = 0; i < length && place + i < other.size(); ++i) {
          (*bytes)[place + i] = other[place + i];
        }
    }
    if (bytes->size() > kLongest) bytes->resize(kLongest);
  }

  std::mt19937 random_;
};

/* True if the input reached an edge that no input before it did. */
bool Run(const Bytes& bytes) {
  const size_t before = edges;
  current = bytes;
  previous = 0;
  LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
  return edges > before;
}

}  // namespace

extern "C" void __sanitizer_cov_trace_pc() {
  const auto place = reinterpret_cast<uintptr_t>(__builtin_return_address(0));
  const size_t edge = (place ^ (previous >> 1)) % kEdges;
  previous = place;
  edges += !reached[edge];
  reached[edge] = true;
}

int main(int count, char** arguments) {
  __sanitizer_set_death_callback(PrintInput);
  const long runs = atol(arguments[1]);
  Mutator mutator(static_cast<unsigned>(atol(arguments[2])));
  std::vector<Bytes> kept;
  for (int i = 3; i < count; ++i) {
    std::ifstream file(arguments[i], std::ios::binary);
    kept.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
    Run(kept.back());
  }
  for (long run = 0; run < runs; ++run) {
    const Bytes& base = kept[mutator.Below(kept.size())];
    Bytes mutated = mutator.Mutate(base, kept[mutator.Below(kept.size())]);
    if (Run(mutated)) kept.push_back(std::move(mutated));
  }
  printf("%ld runs, %zu inputs kept, %zu edges\n", runs, kept.size(), edges);
  return 0;
}
