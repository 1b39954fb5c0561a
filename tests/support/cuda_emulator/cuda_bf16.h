/* bfloat16: the upper half of a float, rounded to even. */
#pragma once
#include <cstring>
#include "cuda.h"
struct nv_bfloat16 {
  unsigned short bits;
  nv_bfloat16() = default;
  template <typename T> nv_bfloat16(T given) {
    float number = (float)given;
    unsigned word;
    memcpy(&word, &number, 4);
    bits = (word + 0x7fff + (word >> 16 & 1)) >> 16;
  }
  operator float() const {
    unsigned word = (unsigned)bits << 16;
    float number;
    memcpy(&number, &word, 4);
    return number;
  }
};
typedef nv_bfloat16 __nv_bfloat16;
struct alignas(4) nv_bfloat162 {
  nv_bfloat16 x, y;
  nv_bfloat162() = default;
  nv_bfloat162(nv_bfloat16 x, nv_bfloat16 y) : x(x), y(y) {}
};
static inline nv_bfloat16 __float2bfloat16(float x) { return nv_bfloat16(x); }
static inline float __bfloat162float(nv_bfloat16 x) { return (float)x; }
static inline bool __hgt(nv_bfloat16 a, nv_bfloat16 b) { return (float)a > (float)b; }
static inline bool __hlt(nv_bfloat16 a, nv_bfloat16 b) { return (float)a < (float)b; }
