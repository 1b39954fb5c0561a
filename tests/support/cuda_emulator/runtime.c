/* NVIDIA's runtime library as far as TVM calls it, on this machine's processor: memory is malloc'ed, and everything
   that is asked for is done at once. A library of its own: kernels shall find one `__syncthreads`, the driver's. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MOST_THREADS = 1024 };

int cudaGetDeviceCount(int* count) { *count = 1; return 0; }
int cudaGetDevice(int* device) { *device = 0; return 0; }
int cudaSetDevice(int device) { return device ? 101 : 0; }
int cudaDeviceGetAttribute(int* value, int attribute, int device) {
  (void)device;
  switch (attribute) {
    case 1: *value = MOST_THREADS; break;
    case 8: *value = 48 << 10; break;
    case 10: *value = 32; break;
    case 13: *value = 1410000; break;
    case 16: *value = 108; break;
    case 75: *value = 8; break;
    case 76: *value = 0; break;
    default: *value = 0;
  }
  return 0;
}
int cudaGetDeviceProperties(void* properties, int device) { (void)properties, (void)device; return 801; }
int cudaMemGetInfo(size_t* left, size_t* all) { *left = *all = (size_t)1 << 34; return 0; }
int cudaMalloc(void** memory, size_t size) { return posix_memalign(memory, 256, size ? size : 1) ? 2 : 0; }
int cudaFree(void* memory) { free(memory); return 0; }
int cudaMallocHost(void** memory, size_t size) { return cudaMalloc(memory, size); }
int cudaFreeHost(void* memory) { return cudaFree(memory); }
int cudaMemcpyAsync(void* to, const void* from, size_t size, int kind, void* stream) {
  (void)kind, (void)stream;
  memmove(to, from, size);
  return 0;
}
int cudaMemcpyPeerAsync(void* to, int a, const void* from, int b, size_t size, void* stream) {
  (void)a, (void)b;
  return cudaMemcpyAsync(to, from, size, 3, stream);
}
int cudaEventCreate(void** event) { *event = calloc(1, sizeof(struct timespec)); return 0; }
int cudaEventDestroy(void* event) { free(event); return 0; }
int cudaEventRecord(void* event, void* stream) { (void)stream; return clock_gettime(CLOCK_MONOTONIC, event); }
int cudaEventSynchronize(void* event) { (void)event; return 0; }
int cudaEventElapsedTime(float* ms, struct timespec* start, struct timespec* end) {
  *ms = (end->tv_sec - start->tv_sec) * 1e3f + (end->tv_nsec - start->tv_nsec) * 1e-6f;
  return 0;
}
const char* cudaGetErrorName(int error) { (void)error; return "emulated error"; }
const char* cudaGetErrorString(int error) { return cudaGetErrorName(error); }
int cudaGetLastError(void) { return 0; }
int cudaPeekAtLastError(void) { return 0; }
int cudaStreamCreate(void** stream) { *stream = NULL; return 0; }
int cudaStreamCreateWithFlags(void** stream, unsigned flags) { (void)flags; return cudaStreamCreate(stream); }
int cudaStreamDestroy(void* stream) { (void)stream; return 0; }
int cudaStreamSynchronize(void* stream) { (void)stream; return 0; }
int cudaStreamWaitEvent(void* stream, void* event) { (void)stream, (void)event; return 0; }
int cudaStreamBeginCapture(void) { return 801; }
int cudaStreamEndCapture(void) { return 801; }
int cudaGraphInstantiate(void) { return 801; }
int cudaGraphLaunch(void) { return 801; }
int cudaGraphDestroy(void) { return 801; }
int cudaGraphExecDestroy(void) { return 801; }
