/* NVIDIA's driver as far as TVM calls it, on this machine's processor: machine code is a shared library, the threads of
   a block are contexts that change places at barriers. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

typedef struct { unsigned x, y, z; } Dim;
typedef struct { unsigned gridX, gridY, gridZ, blockX, blockY, blockZ, shared; void* stream; } Launch;
typedef void (*Kernel)(void*, void*, void*, void*, void*, void*, void*, void*);
typedef struct { Kernel run; int count; unsigned most_shared; } Function;
enum { MOST_SHARED_ATTRIBUTE = 8, SHARED_UNASKED = 48 << 10, STACK = 256 << 10, MOST_THREADS = 1024, MOST_ARGUMENTS = 8, MOST_SHARED = 232448 };

Dim threadIdx, blockIdx, blockDim, gridDim;
static ucontext_t scheduler, threads[MOST_THREADS];
static char* stacks;
int emulated_thread;
unsigned char emulated_shared[MOST_SHARED] __attribute__((aligned(128)));
static int finished[MOST_THREADS];
static Kernel running;
static void* arguments[MOST_ARGUMENTS];

void __syncthreads(void) { swapcontext(&threads[emulated_thread], &scheduler); }

static void thread_main(void) {
  running(arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], arguments[5], arguments[6],
          arguments[7]);
  finished[emulated_thread] = 1;
}

static void run_block(int count) {
  for (int i = 0; i < count; ++i) {
    getcontext(&threads[i]);
    threads[i].uc_stack.ss_sp = stacks + (size_t)i * STACK;
    threads[i].uc_stack.ss_size = STACK;
    threads[i].uc_link = &scheduler;
    makecontext(&threads[i], thread_main, 0);
    finished[i] = 0;
  }
  for (int left = count; left > 0;) {
    for (int i = 0; i < count; ++i) {
      if (finished[i]) continue;
      emulated_thread = i;
      threadIdx = (Dim){i % blockDim.x, i / blockDim.x % blockDim.y, i / blockDim.x / blockDim.y};
      swapcontext(&scheduler, &threads[i]);
      left -= finished[i];
    }
  }
}

int cuLaunchKernelEx(const Launch* launch, Function* function, void** given, void** extra) {
  (void)extra;
  int count = launch->blockX * launch->blockY * launch->blockZ;
  if (count > MOST_THREADS || function->count > MOST_ARGUMENTS || launch->shared > function->most_shared) return 1;
  if (!stacks) stacks = malloc((size_t)MOST_THREADS * STACK);
  running = function->run;
  for (int i = 0; i < function->count; ++i) arguments[i] = *(void**)given[i];
  gridDim = (Dim){launch->gridX, launch->gridY, launch->gridZ};
  blockDim = (Dim){launch->blockX, launch->blockY, launch->blockZ};
  for (blockIdx.z = 0; blockIdx.z < gridDim.z; ++blockIdx.z)
    for (blockIdx.y = 0; blockIdx.y < gridDim.y; ++blockIdx.y)
      for (blockIdx.x = 0; blockIdx.x < gridDim.x; ++blockIdx.x) run_block(count);
  return 0;
}

int cuModuleLoadData(void** module, const void* image) {
  const Elf64_Ehdr* header = image;
  if (memcmp(header->e_ident, ELFMAG, SELFMAG)) return 200;
  size_t size = header->e_shoff + (size_t)header->e_shnum * header->e_shentsize;
  /* A path of its own each time: what is loaded already would be taken for it otherwise. */
  char path[] = "/tmp/emulated-cubin-XXXXXX";
  int file = mkstemp(path);
  if (write(file, image, size) != (ssize_t)size) return 201;
  /* Kernels refer to threadIdx and others of this library. */
  dlopen("libcuda.so.1", RTLD_NOW | RTLD_GLOBAL | RTLD_NOLOAD);
  *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!*module) fprintf(stderr, "%s\n", dlerror());
  unlink(path);
  close(file);
  return *module ? 0 : 200;
}

int cuModuleGetFunction(void** function, void* module, const char* name) {
  char counted[256];
  snprintf(counted, sizeof counted, "%s_parameters", name);
  Function* found = malloc(sizeof *found);
  int* count = dlsym(module, counted);
  found->run = (Kernel)dlsym(module, name);
  found->count = count ? *count : 0;
  found->most_shared = SHARED_UNASKED;
  *function = found;
  return found->run && count ? 0 : 500;
}

int cuModuleUnload(void* module) { return dlclose(module) ? 1 : 0; }
int cuFuncSetAttribute(Function* function, int attribute, int value) {
  if (attribute != MOST_SHARED_ATTRIBUTE) return 0;
  if (value > MOST_SHARED) return 1;
  function->most_shared = value;
  return 0;
}
int cuGetErrorName(int e, const char** text) { (void)e; *text = "emulated error"; return 0; }
int cuGetErrorString(int e, const char** text) { return cuGetErrorName(e, text); }
int cuDeviceGetName(char* name, int size, int device) {
  snprintf(name, size, "emulated GPU %d", device);
  return 0;
}
int cuTensorMapEncodeTiled(void) { return 801; }

