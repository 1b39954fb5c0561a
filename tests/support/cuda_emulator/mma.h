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

/* Of what is given in 32 bits, the tensor cores read the upper 19. */
struct tf32 {
  unsigned word;
  operator float() const {
    unsigned upper = word & 0xffffe000;
    float value;
    memcpy(&value, &upper, 4);
    return value;
  }
};

template <typename T> static inline T element(unsigned word, int place) {
  T values[4 / sizeof(T)];
  memcpy(values, &word, 4);
  return values[place];
}

/* m16n8k8 to m16n8k32: a register has so many steps of the sum that 4 lanes hold half of them. */
template <typename T, typename Sum>
static inline void emulated_mma(Sum** sums, const unsigned* left, const unsigned* right, const Sum* before) {
  const int width = 4 / sizeof(T);
  unsigned words[6] = {left[0], left[1], left[2], left[3], right[0], right[1]};
  auto lanes = exchanged(words);
  int lane = emulated_thread % 32;
  for (int i = 0; i < 4; ++i) {
    int row = lane / 4, below = i / 2, column = lane % 4 * 2 + i % 2;
    Sum sum = before[i];
    for (int k = 0; k < 8 * width; ++k) {
      int other = k % (4 * width) / width, half = k / (4 * width);
      unsigned a = lanes[row * 4 + other][below + half * 2], b = lanes[column * 4 + other][4 + half];
      sum += (Sum)element<T>(a, k % width) * (Sum)element<T>(b, k % width);
    }
    *sums[i] = sum;
  }
}
