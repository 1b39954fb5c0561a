// A model that autotune built, loaded and called; TVM's runtime library is all that it needs.
#pragma once

#include <tvm/ffi/container/array.h>
#include <tvm/ffi/container/shape.h>
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/extra/module.h>
#include <tvm/ffi/function.h>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif

// An input or output: its name in the model's file, its dtype in NumPy's words, its shape.
struct TensorSpec {
  std::string name;
  std::string dtype;
  std::vector<int64_t> shape;

  int64_t Elements() const {
    int64_t count = 1;
    for (int64_t size : shape) count *= size;
    return count;
  }
};

// Something that the machine code needs of the processor.
struct CpuFeature {
  const char* name;
  unsigned leaf;
  unsigned subleaf;
  int cpuid_register;
  int bit;
};

inline bool HasCpuFeature(const CpuFeature& one) {
#if defined(__x86_64__)
  unsigned found[4] = {0, 0, 0, 0};
  if (!__get_cpuid_count(one.leaf, one.subleaf, &found[0], &found[1], &found[2], &found[3])) return false;
  return found[one.cpuid_register] >> one.bit & 1;
#elif defined(__aarch64__)
  return getauxval(one.bit < 64 ? AT_HWCAP : AT_HWCAP2) >> (one.bit % 64) & 1;
#else
  return false;
#endif
}

// Throws std::runtime_error where the processor lacks a feature, before machine code with it is loaded.
inline void RequireCpu(const std::vector<CpuFeature>& features) {
  std::string missing;
  for (const CpuFeature& one : features) {
    if (!HasCpuFeature(one)) missing += (missing.empty() ? "" : ", ") + std::string(one.name);
  }
  if (!missing.empty()) {
    throw std::runtime_error("expected a processor with " + missing +
                             ", which the package was built for; found one without. Package the model for this one");
  }
}

// A loaded model. One thread calls it at a time; a thread that calls it keeps a pool of kernel threads.
class PackagedModel {
 public:
  // library: the path of model.so; threads: for kernels.
  PackagedModel(const std::string& library, int threads) {
    using tvm::ffi::Function;
    // Mode -3: all threads share the processors that are listed; none: all.
    Function::GetGlobalRequired("runtime.config_threadpool")(-3, threads, tvm::ffi::Array<tvm::ffi::String>(), threads);
    module_ = tvm::ffi::Module::LoadFromFile(library);
    machine_ = module_.value()->GetFunction("vm_load_executable").value()().cast<tvm::ffi::Module>();
    // The processor, and the allocator that keeps freed memory for the next call.
    machine_.value()->GetFunction("vm_initialization").value()(static_cast<int>(kDLCPU), 0, 2);
    main_ = machine_.value()->GetFunction("main").value();
    allocate_ = Function::GetGlobalRequired("runtime.TVMTensorAllocWithScope");
  }

  // A tensor of a shape and dtype, whose memory is aligned as kernels need it; fill it through data_ptr().
  tvm::ffi::Tensor Allocate(const TensorSpec& spec) const {
    tvm::ffi::Shape shape(spec.shape.begin(), spec.shape.end());
    DLDevice device{kDLCPU, 0};
    return allocate_(shape, tvm::ffi::StringToDLDataType(spec.dtype), device, nullptr).cast<tvm::ffi::Tensor>();
  }

  // The outputs for inputs in the order of the model's file. Throws tvm::ffi::Error where they do not fit.
  std::vector<tvm::ffi::Tensor> Run(const std::vector<tvm::ffi::Tensor>& inputs) const {
    std::vector<tvm::ffi::AnyView> arguments(inputs.begin(), inputs.end());
    tvm::ffi::Any found;
    main_.CallPacked(arguments.data(), static_cast<int32_t>(arguments.size()), &found);
    if (auto one = found.try_cast<tvm::ffi::Tensor>()) return {*one};
    auto several = found.cast<tvm::ffi::Array<tvm::ffi::Tensor>>();
    return {several.begin(), several.end()};
  }

 private:
  tvm::ffi::Optional<tvm::ffi::Module> module_;
  tvm::ffi::Optional<tvm::ffi::Module> machine_;
  tvm::ffi::Function main_;
  tvm::ffi::Function allocate_;
};
