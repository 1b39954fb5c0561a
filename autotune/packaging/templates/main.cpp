// Runs the stored inputs of a package, and compares the outputs with the stored ones.
//
//   run_model [FOLDER] [THREADS]
//
// FOLDER is where lib/ and runs/ are, by default the working directory.
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <iterator>

#include "model_description.h"

namespace {

std::vector<char> ReadFile(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  if (!stream) throw std::runtime_error("expected the file " + path + "; it cannot be read");
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

template <typename T>
double LargestError(const char* found, const std::vector<char>& wanted) {
  const T* mine = reinterpret_cast<const T*>(found);
  const T* right = reinterpret_cast<const T*>(wanted.data());
  const size_t count = wanted.size() / sizeof(T);
  double squares = 0, largest = 0;
  for (size_t i = 0; i < count; ++i) {
    if (std::isfinite(right[i])) squares += static_cast<double>(right[i]) * right[i];
  }
  const double scale = std::sqrt(squares / (count ? count : 1));
  for (size_t i = 0; i < count; ++i) {
    if (mine[i] == right[i] || (std::isnan(mine[i]) && std::isnan(right[i]))) continue;
    const double bound = std::max(std::abs(static_cast<double>(right[i])), scale);
    const double error = std::abs(static_cast<double>(mine[i]) - right[i]) / bound;
    largest = std::isnan(error) ? INFINITY : std::max(largest, error);
  }
  return largest;
}

// The largest error relative to an element or to the root mean square; of other dtypes than floats 0 where equal.
double LargestError(const TensorSpec& spec, const tvm::ffi::Tensor& found, const std::vector<char>& wanted) {
  const char* values = static_cast<const char*>(found.data_ptr());
  if (spec.dtype == "float32") return LargestError<float>(values, wanted);
  if (spec.dtype == "float64") return LargestError<double>(values, wanted);
  return std::memcmp(values, wanted.data(), wanted.size()) == 0 ? 0 : INFINITY;
}

double RunStored(const PackagedModel& model, const std::string& folder, int number) {
  using namespace model_description;
  const std::string stem = folder + "/runs/run" + std::to_string(number);
  std::vector<tvm::ffi::Tensor> inputs;
  for (size_t place = 0; place < kInputs.size(); ++place) {
    tvm::ffi::Tensor tensor = model.Allocate(kInputs[place]);
    const std::vector<char> data = ReadFile(stem + "_input" + std::to_string(place) + ".bin");
    std::memcpy(tensor.data_ptr(), data.data(), data.size());
    inputs.push_back(tensor);
  }
  model.Run(inputs);  // the first run starts the kernel threads
  const auto started = std::chrono::steady_clock::now();
  const std::vector<tvm::ffi::Tensor> outputs = model.Run(inputs);
  const std::chrono::duration<double> secs = std::chrono::steady_clock::now() - started;
  double largest = 0;
  for (size_t place = 0; place < kOutputs.size(); ++place) {
    const std::vector<char> wanted = ReadFile(stem + "_output" + std::to_string(place) + ".bin");
    largest = std::max(largest, LargestError(kOutputs[place], outputs[place], wanted));
  }
  std::cout << "run " << number << ": " << secs.count() * 1e3 << " ms, largest error " << largest << "\n";
  return largest;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const std::string folder = argc > 1 ? argv[1] : ".";
    const int threads = argc > 2 ? std::atoi(argv[2]) : model_description::kThreads;
    RequireCpu(model_description::kCpuFeatures);
    const PackagedModel model(folder + "/lib/model.so", threads);
    double largest = 0;
    for (int number = 0; number < model_description::kRuns; ++number) {
      largest = std::max(largest, RunStored(model, folder, number));
    }
    if (!(largest <= 1e-3)) throw std::runtime_error("expected the stored outputs; found others");
    std::cout << "the outputs are the stored ones\n";
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "error: " << error.what() << "\n";
    return 1;
  }
}
