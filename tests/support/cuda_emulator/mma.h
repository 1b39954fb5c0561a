/* The instructions of PTX around tensor cores, as PTX ISA describes them: ldmatrix and mma.sync exchange registers
   among the 32 threads of a warp, cp.async copies at the latest moment that the program allows. */
#pragma once
#include <cstring>
#include <deque>
#include <vector>
#include "cuda_bf16.h"
#include "cuda_fp16.h"

struct Copy { void* to; const void* from; int bytes; };
static std::vector<Copy> open_group[1024];
static std::deque<std::vector<Copy>> committed[1024];

static inline unsigned __cvta_generic_to_shared(const void* pointer) {
  return (unsigned)((const unsigned char*)pointer - emulated_shared);
}
static inline void emulated_cp_async(unsigned to, const void* from, int bytes) {
  if (to % bytes || (uintptr_t)from % bytes) __builtin_trap();
  open_group[emulated_thread].push_back({emulated_shared + to, from, bytes});
}
/* Where the condition is not met, a word is stored instead, and at once. */
static inline void emulated_cp_async_or(unsigned to, const void* from, int bytes, int condition, unsigned word) {
  if (condition) return emulated_cp_async(to, from, bytes);
  for (int i = 0; i < bytes; i += 4) memcpy(emulated_shared + to + i, &word, 4);
}
static inline void emulated_commit_group() {
  committed[emulated_thread].push_back(open_group[emulated_thread]);
  open_group[emulated_thread].clear();
}
static inline void emulated_wait_group(unsigned most) {
  auto& groups = committed[emulated_thread];
  for (; groups.size() > most; groups.pop_front())
    for (auto& copy : groups.front()) memcpy(copy.to, copy.from, copy.bytes);
}

static unsigned published[2][1024][6];
static unsigned char rounds[1024];

/* Shows six words to the other threads of the warp, and returns those of all of them. */
static inline unsigned (*exchanged(const unsigned* words))[6] {
  unsigned char round = rounds[emulated_thread]++ & 1;
  memcpy(published[round][emulated_thread], words, sizeof published[0][0]);
  __syncthreads();
  return &published[round][emulated_thread / 32 * 32];
}

template <bool transposes> static inline void emulated_ldmatrix(unsigned** out, unsigned address) {
  unsigned words[6] = {address};
  auto lanes = exchanged(words);
  int lane = emulated_thread % 32;
  for (int matrix = 0; matrix < 4; ++matrix) {
    unsigned short pair[2];
    for (int i = 0; i < 2; ++i) {
      int row = lane / 4, column = lane % 4 * 2 + i;
      if (transposes) { int other = row; row = column; column = other; }
      unsigned start = lanes[matrix * 8 + row][0];
      if (start % 16) __builtin_trap();
      memcpy(&pair[i], emulated_shared + start + column * 2, 2);
    }
    memcpy(out[matrix], pair, 4);
  }
}

template <typename T> static inline float element(unsigned word, int place) {
  T values[2];
  memcpy(values, &word, 4);
  return (float)values[place];
}

template <typename T>
static inline void emulated_mma(float** sums, const unsigned* left, const unsigned* right, const float* before) {
  unsigned words[6] = {left[0], left[1], left[2], left[3], right[0], right[1]};
  auto lanes = exchanged(words);
  int lane = emulated_thread % 32;
  for (int i = 0; i < 4; ++i) {
    int row = lane / 4, below = i / 2, column = lane % 4 * 2 + i % 2;
    float sum = before[i];
    for (int k = 0; k < 16; ++k) {
      unsigned a = lanes[row * 4 + k % 8 / 2][below + k / 8 * 2], b = lanes[column * 4 + k % 8 / 2][4 + k / 8];
      sum += element<T>(a, k % 2) * element<T>(b, k % 2);
    }
    *sums[i] = sum;
  }
}
