/* Half floats: what is computed in float and rounded once is what a GPU computes. */
#pragma once
#include "cuda.h"
struct half {
  _Float16 value;
  half() = default;
  template <typename T> half(T given) : value((_Float16)(float)given) {}
  operator float() const { return (float)value; }
  half& operator+=(half other) { return *this = half((float)*this + (float)other); }
};
typedef half __half;
struct alignas(4) half2 { half x, y; half2() = default; half2(half x, half y) : x(x), y(y) {} };
typedef half2 __half2;
static inline half __float2half(float x) { return half(x); }
static inline half __float2half_rn(float x) { return half(x); }
static inline float __half2float(half x) { return (float)x; }
static inline bool __hgt(half a, half b) { return (float)a > (float)b; }
static inline bool __hlt(half a, half b) { return (float)a < (float)b; }
