/* Reads the FlexBuffer map that holds the options of a custom op: integers and integer vectors.
 *
 * The bytes come from a model file that may be damaged, so every access is checked; a reader copies
 * nothing, allocates nothing and needs no alignment. */
#ifndef REDS_FLEXBUFFER_H_
#define REDS_FLEXBUFFER_H_

#include <stddef.h>
#include <stdint.h>

namespace reds_flexbuffer {

/* A vector inside the buffer: `count` elements of `width` bytes at `position`. */
struct Vector {
  size_t position;
  size_t width;
  size_t count;
};

class Map {
 public:
  /* An empty map if the bytes do not hold one. */
  Map(const uint8_t* data, size_t size);

  /* Reads an integer; false if the key is absent, or its value no integer of 32 bits. */
  bool Read(const char* key, int32_t* value) const;

  /* Number of integers in a vector; 0 if the key is absent or holds anything else. */
  size_t Count(const char* key) const;

  /* Reads a vector of exactly `count` integers; false if it has another length or type. */
  bool Read(const char* key, int32_t* values, size_t count) const;

 private:
  struct Value {
    size_t position;
    uint8_t type;
  };

  bool Contains(size_t position, size_t bytes) const;
  bool Unsigned(size_t position, size_t width, uint64_t* value) const;
  bool Integer(size_t position, size_t width, int32_t* value) const;
  bool Indirect(size_t position, size_t width, size_t* target) const;
  bool KeyEquals(size_t index, const char* key) const;
  bool Find(const char* key, Value* value) const;
  bool FindVector(const char* key, Vector* vector) const;

  const uint8_t* data_;
  size_t size_;
  Vector values_;
  Vector keys_;
};

}  // namespace reds_flexbuffer

#endif  // REDS_FLEXBUFFER_H_
