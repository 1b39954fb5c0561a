/* One kernel launched without TVM's runtime. */
#include "driver.c"

int launch_kernel(Kernel kernel, int count, void** given, unsigned* sizes) {
  Function function = {kernel, count};
  void* pointers[MOST_ARGUMENTS];
  for (int i = 0; i < count; ++i) pointers[i] = &given[i];
  Launch launch = {sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5], 0, NULL};
  return cuLaunchKernelEx(&launch, &function, pointers, NULL);
}
