// TVM's device interface over OpenCL, for TVM packages that were built without it (USE_OPENCL=OFF).
//
// A library that is loaded after TVM's runtime and registers with it: the device API (device_api.opencl), a timer that
// sums the device's own times of kernels (runtime.timer.opencl), and the loader of libraries whose GPU part is OpenCL C
// (ffi.Module.load_from_bytes.opencl). Needs no OpenCL headers; the OpenCL loader is opened when it is first used.
// A data pointer is a cl_mem. Each device has one context and one in-order queue.
#include <dlfcn.h>
#include <tvm/ffi/cast.h>
#include <tvm/ffi/extra/module.h>
#include <tvm/ffi/function.h>
#include <tvm/ffi/reflection/registry.h>
#include <tvm/runtime/device_api.h>

#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace autotune {
namespace ffi = tvm::ffi;
using tvm::runtime::DeviceAPI;
using tvm::runtime::DeviceAttrKind;

using Handle = void*;
using Int = int32_t;
using Flags = uint64_t;

constexpr const char* kLibraries[] = {"libOpenCL.so.1", "libOpenCL.so", "/vendor/lib64/libOpenCL.so"};
constexpr Flags kAllTypes = 0xFFFFFFFF, kReadWrite = 1, kProfiling = 2;
constexpr unsigned kType = 0x1000, kMaxGroupSize = 0x1004, kMaxItemSizes = 0x1005, kComputeUnits = 0x1002, kClock = 0x100C;
constexpr unsigned kGlobalCache = 0x101E, kGlobalMemory = 0x101F, kLocalMemory = 0x1023;
constexpr unsigned kName = 0x102B, kDriver = 0x102D, kVersion = 0x102F;
constexpr unsigned kBuildLog = 0x1183, kStart = 0x1282, kEnd = 0x1283;

// The functions of OpenCL that are used here, by name; all are of version 1.0, but that for queues.
struct OpenCL {
#define FUNCTION(result, name, ...) result (*name)(__VA_ARGS__) = nullptr
  FUNCTION(Int, clGetPlatformIDs, unsigned, Handle*, unsigned*);
  FUNCTION(Int, clGetDeviceIDs, Handle, Flags, unsigned, Handle*, unsigned*);
  FUNCTION(Int, clGetDeviceInfo, Handle, unsigned, size_t, void*, size_t*);
  FUNCTION(Handle, clCreateContext, const intptr_t*, unsigned, const Handle*, void*, void*, Int*);
  FUNCTION(Handle, clCreateCommandQueue, Handle, Handle, Flags, Int*);
  FUNCTION(Handle, clCreateBuffer, Handle, Flags, size_t, void*, Int*);
  FUNCTION(Int, clReleaseMemObject, Handle);
  FUNCTION(Int, clEnqueueReadBuffer, Handle, Handle, unsigned, size_t, size_t, void*, unsigned, void*, void*);
  FUNCTION(Int, clEnqueueWriteBuffer, Handle, Handle, unsigned, size_t, size_t, const void*, unsigned, void*, void*);
  FUNCTION(Int, clEnqueueCopyBuffer, Handle, Handle, Handle, size_t, size_t, size_t, unsigned, void*, void*);
  FUNCTION(Handle, clCreateProgramWithSource, Handle, unsigned, const char**, const size_t*, Int*);
  FUNCTION(Int, clBuildProgram, Handle, unsigned, const Handle*, const char*, void*, void*);
  FUNCTION(Int, clGetProgramBuildInfo, Handle, Handle, unsigned, size_t, void*, size_t*);
  FUNCTION(Handle, clCreateKernel, Handle, const char*, Int*);
  FUNCTION(Int, clSetKernelArg, Handle, unsigned, size_t, const void*);
  FUNCTION(Int, clEnqueueNDRangeKernel, Handle, Handle, unsigned, const size_t*, const size_t*, const size_t*, unsigned,
           void*, Handle*);
  FUNCTION(Int, clGetEventProfilingInfo, Handle, unsigned, size_t, void*, size_t*);
  FUNCTION(Int, clReleaseEvent, Handle);
  FUNCTION(Int, clReleaseKernel, Handle);
  FUNCTION(Int, clReleaseProgram, Handle);
  FUNCTION(Int, clFinish, Handle);
#undef FUNCTION
  bool is_loaded = false;

  OpenCL() {
    void* library = nullptr;
    for (const char* name : kLibraries) {
      if (!library) library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    }
    is_loaded = library != nullptr;
#define LOAD(name) is_loaded = is_loaded && Load(library, #name, &name)
    LOAD(clGetPlatformIDs), LOAD(clGetDeviceIDs), LOAD(clGetDeviceInfo), LOAD(clCreateContext);
    LOAD(clCreateCommandQueue), LOAD(clCreateBuffer), LOAD(clReleaseMemObject), LOAD(clEnqueueReadBuffer);
    LOAD(clEnqueueWriteBuffer), LOAD(clEnqueueCopyBuffer), LOAD(clCreateProgramWithSource), LOAD(clBuildProgram);
    LOAD(clGetProgramBuildInfo), LOAD(clCreateKernel), LOAD(clSetKernelArg), LOAD(clEnqueueNDRangeKernel);
    LOAD(clGetEventProfilingInfo), LOAD(clReleaseEvent), LOAD(clReleaseKernel), LOAD(clReleaseProgram), LOAD(clFinish);
#undef LOAD
  }

  template <typename Function>
  static bool Load(void* library, const char* name, Function* function) {
    *function = reinterpret_cast<Function>(dlsym(library, name));
    return *function != nullptr;
  }
};

const OpenCL& cl() {
  static const OpenCL* loaded = new OpenCL();
  return *loaded;
}

std::string NameOf(Int status) {
  // What is said of memory decides what kind of failure a candidate's is.
  static const std::map<Int, const char*> names = {
      {-4, "CL_MEM_OBJECT_ALLOCATION_FAILURE, out of memory"}, {-5, "CL_OUT_OF_RESOURCES"},
      {-6, "CL_OUT_OF_HOST_MEMORY, out of memory"},            {-11, "CL_BUILD_PROGRAM_FAILURE"},
      {-14, "CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST"},   {-52, "CL_INVALID_KERNEL_ARGS"},
      {-54, "CL_INVALID_WORK_GROUP_SIZE"},                     {-55, "CL_INVALID_WORK_ITEM_SIZE"},
      {-61, "CL_INVALID_BUFFER_SIZE, out of memory"}};
  auto found = names.find(status);
  return found == names.end() ? "status " + std::to_string(status) : found->second;
}

void Check(Int status, const char* call) {
  if (status) TVM_FFI_THROW(RuntimeError) << "OpenCL: " << call << " failed: " << NameOf(status);
}

struct Place {
  Handle id, context = nullptr, queue = nullptr;
};

class Timings {
 public:
  void Begin() { Clear(), is_on_ = true; }
  void End() { is_on_ = false; }
  bool is_on() const { return is_on_; }
  void Add(Handle event) { events_.push_back(event); }
  int64_t Sum() {
    uint64_t sum = 0;
    for (Handle event : events_) {
      uint64_t start = 0, end = 0;
      Check(cl().clGetEventProfilingInfo(event, kStart, sizeof start, &start, nullptr), "clGetEventProfilingInfo");
      Check(cl().clGetEventProfilingInfo(event, kEnd, sizeof end, &end, nullptr), "clGetEventProfilingInfo");
      sum += end - start;
    }
    Clear();
    return static_cast<int64_t>(sum);
  }

 private:
  void Clear() {
    for (Handle event : events_) cl().clReleaseEvent(event);
    events_.clear();
  }
  bool is_on_ = false;
  std::vector<Handle> events_;
};

class Api final : public DeviceAPI {
 public:
  static Api* Get() {
    static Api* api = new Api();
    return api;
  }

  static int& current() {
    static thread_local int index = 0;
    return index;
  }

  static Timings& timings() {
    static thread_local Timings found;
    return found;
  }

  Place& At(int index) {
    std::lock_guard<std::mutex> lock(mutex_);
    Find();
    if (index < 0 || index >= static_cast<int>(places_.size())) {
      TVM_FFI_THROW(RuntimeError) << "OpenCL: expected one of " << places_.size() << " devices, found " << index;
    }
    Place& place = places_[index];
    if (!place.queue) {
      Int status = 0;
      place.context = cl().clCreateContext(nullptr, 1, &place.id, nullptr, nullptr, &status);
      Check(status, "clCreateContext");
      place.queue = cl().clCreateCommandQueue(place.context, place.id, kProfiling, &status);
      Check(status, "clCreateCommandQueue");
    }
    return place;
  }

  // Has the process see one device only, as its first; before the first look at devices.
  void ShowOnly(int index) {
    std::lock_guard<std::mutex> lock(mutex_);
    shown_ = index;
  }

  ffi::String TypeOf(int index) {
    int64_t bits = Number<Flags>(At(index).id, kType);
    return bits & 2 ? "cpu" : bits & 4 ? "gpu" : "accelerator";
  }

  void SetDevice(DLDevice device) final { current() = device.device_id; }

  void GetAttr(DLDevice device, DeviceAttrKind kind, ffi::Any* value) final {
    if (kind == tvm::runtime::kExist) {
      std::lock_guard<std::mutex> lock(mutex_);
      Find();
      *value = static_cast<int>(device.device_id < static_cast<int>(places_.size()));
      return;
    }
    Handle id = At(device.device_id).id;
    switch (kind) {
      case tvm::runtime::kMaxThreadsPerBlock: *value = Number<size_t>(id, kMaxGroupSize); break;
      case tvm::runtime::kWarpSize: *value = static_cast<int64_t>(1); break;
      case tvm::runtime::kMaxSharedMemoryPerBlock: *value = Number<uint64_t>(id, kLocalMemory); break;
      case tvm::runtime::kComputeVersion: *value = Text(id, kVersion); break;
      case tvm::runtime::kDeviceName: *value = Text(id, kName); break;
      case tvm::runtime::kMaxClockRate: *value = 1000 * Number<unsigned>(id, kClock); break;
      case tvm::runtime::kMultiProcessorCount: *value = Number<unsigned>(id, kComputeUnits); break;
      case tvm::runtime::kMaxThreadDimensions: *value = ItemSizes(id); break;
      case tvm::runtime::kDriverVersion: *value = Text(id, kDriver); break;
      case tvm::runtime::kL2CacheSizeBytes: *value = Number<uint64_t>(id, kGlobalCache); break;
      case tvm::runtime::kTotalGlobalMemory: *value = Number<uint64_t>(id, kGlobalMemory); break;
      default: break;
    }
  }

  void* AllocDataSpace(DLDevice device, size_t bytes, size_t, DLDataType) final {
    Int status = 0;
    Handle memory = cl().clCreateBuffer(At(device.device_id).context, kReadWrite, bytes ? bytes : 1, nullptr, &status);
    Check(status, "clCreateBuffer");
    return memory;
  }

  void FreeDataSpace(DLDevice device, void* memory) final {
    cl().clFinish(At(device.device_id).queue);
    cl().clReleaseMemObject(memory);
  }

  void StreamSync(DLDevice device, TVMStreamHandle) final { Check(cl().clFinish(At(device.device_id).queue), "clFinish"); }

 protected:
  void CopyDataFromTo(const void* from, size_t from_offset, void* to, size_t to_offset, size_t bytes, DLDevice source,
                      DLDevice destination, DLDataType, TVMStreamHandle) final {
    if (bytes == 0) return;
    bool reads = source.device_type == kDLOpenCL, writes = destination.device_type == kDLOpenCL;
    Handle queue = At(reads ? source.device_id : destination.device_id).queue;
    Handle memory = const_cast<void*>(from);
    if (reads && writes) {
      Check(cl().clEnqueueCopyBuffer(queue, memory, to, from_offset, to_offset, bytes, 0, nullptr, nullptr),
            "clEnqueueCopyBuffer");
    } else if (reads) {
      Check(cl().clEnqueueReadBuffer(queue, memory, 1, from_offset, bytes, static_cast<char*>(to) + to_offset, 0,
                                     nullptr, nullptr),
            "clEnqueueReadBuffer");
    } else {
      Check(cl().clEnqueueWriteBuffer(queue, to, 1, to_offset, bytes, static_cast<const char*>(from) + from_offset, 0,
                                      nullptr, nullptr),
            "clEnqueueWriteBuffer");
    }
  }

 private:
  void Find() {
    if (is_known_ || !cl().is_loaded) return;
    is_known_ = true;
    unsigned platforms = 0;
    if (cl().clGetPlatformIDs(0, nullptr, &platforms) || platforms == 0) return;
    std::vector<Handle> found(platforms);
    cl().clGetPlatformIDs(platforms, found.data(), nullptr);
    for (Handle platform : found) {
      unsigned count = 0;
      if (cl().clGetDeviceIDs(platform, kAllTypes, 0, nullptr, &count) || count == 0) continue;
      std::vector<Handle> ids(count);
      cl().clGetDeviceIDs(platform, kAllTypes, count, ids.data(), nullptr);
      for (Handle id : ids) places_.push_back(Place{id});
    }
    if (shown_ < 0) return;
    std::vector<Place> all;
    all.swap(places_);
    if (shown_ < static_cast<int>(all.size())) places_.push_back(all[shown_]);
  }

  template <typename Value>
  static int64_t Number(Handle id, unsigned what) {
    Value value = 0;
    Check(cl().clGetDeviceInfo(id, what, sizeof value, &value, nullptr), "clGetDeviceInfo");
    return static_cast<int64_t>(value);
  }

  static ffi::String Text(Handle id, unsigned what) {
    size_t size = 0;
    Check(cl().clGetDeviceInfo(id, what, 0, nullptr, &size), "clGetDeviceInfo");
    std::string text(size, '\0');
    Check(cl().clGetDeviceInfo(id, what, size, text.data(), nullptr), "clGetDeviceInfo");
    return text.c_str();
  }

  static ffi::String ItemSizes(Handle id) {
    size_t sizes[3] = {1, 1, 1};
    Check(cl().clGetDeviceInfo(id, kMaxItemSizes, sizeof sizes, sizes, nullptr), "clGetDeviceInfo");
    return "[" + std::to_string(sizes[0]) + ", " + std::to_string(sizes[1]) + ", " + std::to_string(sizes[2]) + "]";
  }

  std::mutex mutex_;
  bool is_known_ = false;
  int shown_ = -1;
  std::vector<Place> places_;
};

// A kernel's signature, as TVM's code generator writes it down: types of parameters, and launch axes behind them.
struct Signature {
  std::vector<DLDataType> types;
  std::vector<int> axes;  // 0 to 2: groups along x, y, z; 3 to 5: items of a group.
};

class Reader {
 public:
  explicit Reader(const ffi::Bytes& bytes) : at_(bytes.data()), left_(bytes.size()) {}
  void Bytes(void* to, size_t size) {
    if (size > left_) TVM_FFI_THROW(ValueError) << "OpenCL: a library's GPU part is cut short";
    std::memcpy(to, at_, size);
    at_ += size, left_ -= size;
  }
  uint64_t Count() {
    uint64_t count = 0;
    Bytes(&count, sizeof count);
    return count;
  }
  std::string Text() {
    uint64_t size = Count();
    if (size > left_) TVM_FFI_THROW(ValueError) << "OpenCL: a library's GPU part is cut short";
    std::string text(size, '\0');
    Bytes(text.data(), size);
    return text;
  }

 private:
  const char* at_;
  size_t left_;
};

int AxisOf(const std::string& tag) {
  bool is_group = tag.rfind("blockIdx.", 0) == 0, is_item = tag.rfind("threadIdx.", 0) == 0;
  int axis = tag.empty() ? -1 : tag.back() - 'x';
  if (!(is_group || is_item) || axis < 0 || axis > 2) {
    TVM_FFI_THROW(ValueError) << "OpenCL: expected blocks and threads along x, y and z, found " << tag;
  }
  return axis + (is_item ? 3 : 0);
}

class Module final : public ffi::ModuleObj {
 public:
  explicit Module(const ffi::Bytes& bytes) {
    Reader reader(bytes);
    if (std::string format = reader.Text(); format != "cl") {
      TVM_FFI_THROW(ValueError) << "OpenCL: expected source, found " << format;
    }
    for (uint64_t left = reader.Count(); left > 0; --left) {
      std::string name = reader.Text();
      reader.Text();
      Signature& signature = signatures_[name];
      signature.types.resize(reader.Count());
      for (DLDataType& type : signature.types) reader.Bytes(&type, sizeof type);
      for (uint64_t tags = reader.Count(); tags > 0; --tags) signature.axes.push_back(AxisOf(reader.Text()));
      for (uint64_t tags = reader.Count(); tags > 0; --tags) {
        Int tag;
        reader.Bytes(&tag, sizeof tag);
      }
    }
    source_ = reader.Text();
  }

  ~Module() {
    for (auto& [key, kernel] : kernels_) cl().clReleaseKernel(kernel);
    for (auto& [index, program] : programs_) cl().clReleaseProgram(program);
  }

  const char* kind() const final { return "opencl"; }
  ffi::String InspectSource(const ffi::String&) const final { return source_; }

  ffi::Optional<ffi::Function> GetFunction(const ffi::String& name) final {
    auto found = signatures_.find(name);
    if (found == signatures_.end()) return std::nullopt;
    ffi::Module self = ffi::GetRef<ffi::Module>(this);
    std::string kernel = name;
    return ffi::Function::FromPacked([this, self, kernel, signature = found->second](const ffi::AnyView* arguments, int count, ffi::Any*) {
      Launch(kernel, signature, arguments, count);
    });
  }

 private:
  void Launch(const std::string& name, const Signature& signature, const ffi::AnyView* arguments, int count) {
    size_t parameters = signature.types.size();
    if (count != static_cast<int>(parameters + signature.axes.size())) {
      TVM_FFI_THROW(ValueError) << "OpenCL: " << name << " takes " << parameters << " arguments and its extents";
    }
    int device = Api::current();
    Place& place = Api::Get()->At(device);
    Handle kernel = KernelOn(device, place, name);
    const TVMFFIAny* raw = reinterpret_cast<const TVMFFIAny*>(arguments);
    for (size_t i = 0; i < parameters; ++i) SetArgument(kernel, i, signature.types[i], raw[i]);
    size_t groups[3] = {1, 1, 1}, items[3] = {1, 1, 1}, all[3];
    for (size_t i = 0; i < signature.axes.size(); ++i) {
      size_t extent = static_cast<size_t>(raw[parameters + i].v_int64);
      (signature.axes[i] < 3 ? groups : items)[signature.axes[i] % 3] = extent;
    }
    for (int axis = 0; axis < 3; ++axis) all[axis] = groups[axis] * items[axis];
    Timings& timings = Api::timings();
    Handle event = nullptr;
    Check(cl().clEnqueueNDRangeKernel(place.queue, kernel, 3, nullptr, all, items, 0, nullptr,
                                      timings.is_on() ? &event : nullptr),
          "clEnqueueNDRangeKernel");
    if (event) timings.Add(event);
  }

  static void SetArgument(Handle kernel, unsigned index, DLDataType type, const TVMFFIAny& value) {
    float single = static_cast<float>(value.v_float64);
    const void* from = &value.v_int64;
    size_t size = type.code == kDLOpaqueHandle ? sizeof(Handle) : type.bits / 8;
    if (type.code == kDLFloat && type.bits == 32) from = &single;
    Check(cl().clSetKernelArg(kernel, index, size, from), "clSetKernelArg");
  }

  Handle KernelOn(int device, const Place& place, const std::string& name) {
    std::lock_guard<std::mutex> lock(mutex_);
    Handle& kernel = kernels_[{device, name}];
    if (!kernel) {
      Int status = 0;
      kernel = cl().clCreateKernel(ProgramOn(device, place), name.c_str(), &status);
      Check(status, "clCreateKernel");
    }
    return kernel;
  }

  Handle ProgramOn(int device, const Place& place) {
    Handle& program = programs_[device];
    if (program) return program;
    Int status = 0;
    const char* text = source_.c_str();
    size_t size = source_.size();
    Handle made = cl().clCreateProgramWithSource(place.context, 1, &text, &size, &status);
    Check(status, "clCreateProgramWithSource");
    if (cl().clBuildProgram(made, 1, &place.id, "", nullptr, nullptr)) {
      std::string log(1 << 14, '\0');
      cl().clGetProgramBuildInfo(made, place.id, kBuildLog, log.size(), log.data(), nullptr);
      cl().clReleaseProgram(made);
      TVM_FFI_THROW(RuntimeError) << "OpenCL: the device's compiler refused the source: " << log.c_str();
    }
    return program = made;
  }

  std::mutex mutex_;
  std::string source_;
  std::map<std::string, Signature> signatures_;
  std::map<int, Handle> programs_;
  std::map<std::pair<int, std::string>, Handle> kernels_;
};

// TVM's interface of timers: its own header needs others that the package lacks.
class TimerNode : public ffi::Object {
 public:
  virtual void Start() = 0;
  virtual void Stop() = 0;
  virtual int64_t SyncAndGetElapsedNanos() = 0;
  virtual ~TimerNode() {}
  static constexpr const bool _type_mutable = true;
  TVM_FFI_DECLARE_OBJECT_INFO("runtime.TimerNode", TimerNode, ffi::Object);
};

// The sum of what the device says each kernel took, without the pauses between them.
class Timer final : public TimerNode {
 public:
  explicit Timer(DLDevice device) : device_(device) {}
  void Start() final { Api::timings().Begin(); }
  void Stop() final { Api::timings().End(); }
  int64_t SyncAndGetElapsedNanos() final {
    Api::Get()->StreamSync(device_, nullptr);
    return Api::timings().Sum();
  }
  TVM_FFI_DECLARE_OBJECT_INFO_FINAL("autotune.OpenCLTimer", Timer, TimerNode);

 private:
  DLDevice device_;
};

TVM_FFI_STATIC_INIT_BLOCK() {
  tvm::ffi::reflection::GlobalDef()
      .def_packed("device_api.opencl", [](ffi::PackedArgs, ffi::Any* api) { *api = static_cast<void*>(Api::Get()); })
      .def("autotune.opencl.show_only", [](int index) { Api::Get()->ShowOnly(index); })
      .def("autotune.opencl.device_type", [](int index) { return Api::Get()->TypeOf(index); })
      .def("runtime.timer.opencl",
           [](DLDevice device) { return ffi::ObjectRef(ffi::make_object<Timer>(device)); })
      .def("ffi.Module.load_from_bytes.opencl",
           [](const ffi::Bytes& bytes) { return ffi::Module(ffi::make_object<Module>(bytes)); });
}
}  // namespace autotune
