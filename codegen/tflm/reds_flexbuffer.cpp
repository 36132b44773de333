/* The format, from its end: root value | type of the root | width of the root. A vector is preceded
 * by its length, a map also by the offset and the width of its sorted keys, and followed by the type
 * of each value. Offsets point backwards. A type byte is (type << 2 | log2 of the width). */
#include "reds_flexbuffer.h"

namespace reds_flexbuffer {

namespace {

enum Type { kInt = 1, kMap = 9, kIntVector = 11 };

size_t WidthOf(uint8_t type) { return static_cast<size_t>(1) << (type & 3); }

}  // namespace

Map::Map(const uint8_t* data, size_t size)
    : data_(data), size_(size), values_{0, 1, 0}, keys_{0, 1, 0} {
  if (data == nullptr || size < 3) return;
  const uint8_t root_type = data[size - 2];
  const size_t root_width = data[size - 1];
  const size_t width = WidthOf(root_type);
  size_t values;
  size_t keys;
  uint64_t key_width;
  uint64_t count;
  if (root_width > 8 || size < 2 + root_width || (root_type >> 2) != kMap) return;
  if (!Indirect(size - 2 - root_width, root_width, &values)) return;
  if (values < 3 * width || !Indirect(values - 3 * width, width, &keys)) return;
  if (!Unsigned(values - 2 * width, width, &key_width)) return;
  if (!Unsigned(values - width, width, &count) || count > size || key_width > 8) return;
  values_ = {values, width, static_cast<size_t>(count)};
  keys_ = {keys, static_cast<size_t>(key_width), static_cast<size_t>(count)};
}

bool Map::Read(const char* key, int32_t* value) const {
  Value found;
  return Find(key, &found) && (found.type >> 2) == kInt &&
         Integer(found.position, values_.width, value);
}

size_t Map::Count(const char* key) const {
  Vector vector;
  return FindVector(key, &vector) ? vector.count : 0;
}

bool Map::Read(const char* key, int32_t* values, size_t count) const {
  Vector vector;
  if (!FindVector(key, &vector) || vector.count != count) return false;
  for (size_t i = 0; i < count; ++i) {
    if (!Integer(vector.position + i * vector.width, vector.width, &values[i])) return false;
  }
  return true;
}

bool Map::Contains(size_t position, size_t bytes) const {
  return bytes <= size_ && position <= size_ - bytes;
}

bool Map::Unsigned(size_t position, size_t width, uint64_t* value) const {
  if (width < 1 || width > 8 || !Contains(position, width)) return false;
  *value = 0;
  for (size_t i = 0; i < width; ++i) {
    *value |= static_cast<uint64_t>(data_[position + i]) << (8 * i);
  }
  return true;
}

bool Map::Integer(size_t position, size_t width, int32_t* value) const {
  uint64_t bits;
  if (!Unsigned(position, width, &bits)) return false;
  if (width < 8 && (bits >> (8 * width - 1)) != 0) bits |= ~static_cast<uint64_t>(0) << (8 * width);
  *value = static_cast<int32_t>(bits);
  return static_cast<uint64_t>(static_cast<int64_t>(*value)) == bits;
}

bool Map::Indirect(size_t position, size_t width, size_t* target) const {
  uint64_t offset;
  if (!Unsigned(position, width, &offset) || offset > position) return false;
  *target = position - static_cast<size_t>(offset);
  return true;
}

bool Map::KeyEquals(size_t index, const char* key) const {
  size_t position;
  if (!Indirect(keys_.position + index * keys_.width, keys_.width, &position)) return false;
  for (; Contains(position, 1); ++position, ++key) {
    if (data_[position] != static_cast<uint8_t>(*key)) return false;
    if (*key == '\0') return true;
  }
  return false;
}

bool Map::Find(const char* key, Value* value) const {
  for (size_t i = 0; i < values_.count; ++i) {
    if (KeyEquals(i, key)) {
      const size_t type = values_.position + values_.count * values_.width + i;
      if (!Contains(type, 1)) return false;
      *value = {values_.position + i * values_.width, data_[type]};
      return true;
    }
  }
  return false;
}

bool Map::FindVector(const char* key, Vector* vector) const {
  Value value;
  uint64_t count;
  if (!Find(key, &value) || (value.type >> 2) != kIntVector) return false;
  const size_t width = WidthOf(value.type);
  size_t position;
  if (!Indirect(value.position, values_.width, &position) || position < width) return false;
  if (!Unsigned(position - width, width, &count) || count > size_) return false;
  *vector = {position, width, static_cast<size_t>(count)};
  return true;
}

}  // namespace reds_flexbuffer
