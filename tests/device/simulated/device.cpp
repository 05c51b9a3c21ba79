// A CUDA device whose memory is main memory and whose kernels are those of the CPU.
//
// Tensors have storages on `cuda:N`. A boxed fallback at the CUDA dispatch key replaces each of them by a CPU tensor
// over the same memory, calls the CPU kernel, and wraps new results as CUDA tensors again. As on a GPU, tensors of
// different devices must not meet in one operator. Launches, copies, synchronizations of the host and calls of
// scaled_dot_product_attention are counted. There are no streams, no real kernels and no limits of kernels.
#include <ATen/EmptyTensor.h>
#include <ATen/autocast_mode.h>
#include <ATen/native/DispatchStub.h>
#include <ATen/native/transformers/attention.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/extension.h>
#include <torch/library.h>

#include <atomic>
#include <cstdlib>
#include <map>
#include <mutex>
#include <unordered_map>
#include <unordered_set>

namespace simulated {

using c10::DispatchKey;
using c10::DispatchKeySet;
using c10::intrusive_ptr;
using c10::IValue;
using c10::StorageImpl;
using at::Tensor;

// ---------------------------------------------------------------------------------------------------- statistics

class Statistics {
 public:
  void add(const std::string& event, int64_t amount = 1) {
    std::lock_guard<std::mutex> held(mutex_);
    events_[event] += amount;
  }
  void add_attention(const std::string& shapes) {
    std::lock_guard<std::mutex> held(mutex_);
    attention_.push_back(shapes);
  }
  void allocate(int64_t num_bytes) {
    const int64_t now = allocated_ += num_bytes;
    int64_t peak = peak_.load();
    while (now > peak && !peak_.compare_exchange_weak(peak, now)) {
    }
  }
  void clear() {
    std::lock_guard<std::mutex> held(mutex_);
    events_.clear();
    attention_.clear();
  }
  std::map<std::string, int64_t> events() {
    std::lock_guard<std::mutex> held(mutex_);
    return events_;
  }
  std::vector<std::string> attention() {
    std::lock_guard<std::mutex> held(mutex_);
    return attention_;
  }
  int64_t allocated() const { return allocated_; }
  int64_t peak() const { return peak_; }
  void reset_peak() { peak_ = allocated_.load(); }

 private:
  std::mutex mutex_;
  std::map<std::string, int64_t> events_;
  std::vector<std::string> attention_;
  std::atomic<int64_t> allocated_{0}, peak_{0};
};
static Statistics statistics;

// ------------------------------------------------------------------------------------------- devices and their guard

static thread_local c10::DeviceIndex selected = 0;

static c10::DeviceIndex num_devices() {
  static const char* given = std::getenv("SIMULATED_GPUS");
  return static_cast<c10::DeviceIndex>(given == nullptr ? 1 : std::atoi(given));
}
static c10::Device cuda(c10::DeviceIndex index) { return c10::Device(c10::kCUDA, index); }

struct Guard final : c10::impl::DeviceGuardImplInterface {
  c10::DeviceType type() const override { return c10::kCUDA; }
  c10::Device getDevice() const override { return cuda(selected); }
  void setDevice(c10::Device device) const override { uncheckedSetDevice(device); }
  void uncheckedSetDevice(c10::Device device) const noexcept override {
    if (device.has_index()) selected = device.index();
  }
  c10::Device exchangeDevice(c10::Device device) const override {
    const c10::Device before = getDevice();
    uncheckedSetDevice(device);
    return before;
  }
  c10::DeviceIndex deviceCount() const noexcept override { return num_devices(); }
  c10::Stream getStream(c10::Device device) const override {
    return c10::Stream(c10::Stream::DEFAULT, device.has_index() ? device : getDevice());
  }
  c10::Stream getDefaultStream(c10::Device device) const override { return getStream(device); }
  c10::Stream getStreamFromGlobalPool(c10::Device device, bool) const override { return getStream(device); }
  c10::Stream getNewStream(c10::Device device, int) const override { return getStream(device); }
  c10::Stream exchangeStream(c10::Stream stream) const override { return stream; }
  bool queryStream(const c10::Stream&) const override { return true; }
  void synchronizeStream(const c10::Stream&) const override { statistics.add("wait: stream"); }
  void synchronizeDevice(const c10::DeviceIndex) const override { statistics.add("wait: device"); }
  void record(void** event, const c10::Stream&, const c10::DeviceIndex, const c10::EventFlag) const override {
    if (*event == nullptr) *event = reinterpret_cast<void*>(1);  // torch asks whether an event has been recorded
  }
  void block(void*, const c10::Stream&) const override {}
  bool queryEvent(void*) const override { return true; }
  void synchronizeEvent(void*) const override { statistics.add("wait: event"); }
  double elapsedTime(void*, void*, const c10::DeviceIndex) const override { return 1.0; }
};
C10_REGISTER_GUARD_IMPL(CUDA, Guard)

// ------------------------------------------------------------------------------------------------------------ memory

// Memory behind a CUDA storage; `source` keeps the memory of a CPU tensor that a kernel has returned.
struct Memory {
  void* owned;
  c10::DataPtr source;
  int64_t num_bytes;
};
static void release(void* context) {
  auto* memory = static_cast<Memory*>(context);
  statistics.allocate(-memory->num_bytes);
  std::free(memory->owned);
  delete memory;
}
static c10::DataPtr adopt(c10::DataPtr source, int64_t num_bytes, c10::Device device) {
  statistics.allocate(num_bytes);
  void* data = source.get();
  return {data, new Memory{nullptr, std::move(source), num_bytes}, &release, device};
}

struct Allocator final : c10::Allocator {
  c10::DataPtr allocate(size_t num_bytes) override {
    void* data = nullptr;
    if (num_bytes > 0) TORCH_CHECK(posix_memalign(&data, 64, num_bytes) == 0, "CUDA out of memory (simulated)");
    statistics.allocate(static_cast<int64_t>(num_bytes));
    return {data, new Memory{data, {}, static_cast<int64_t>(num_bytes)}, &release, cuda(selected)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return nullptr; }
  void copy_data(void* target, const void* source, size_t num_bytes) const override {
    default_copy_data(target, source, num_bytes);
  }
};
static Allocator allocator;

static c10::Storage new_storage(c10::DataPtr data, int64_t num_bytes, c10::Allocator* owner) {
  return c10::Storage(c10::make_intrusive<StorageImpl>(
      StorageImpl::use_byte_size_t(), num_bytes, std::move(data), owner, /*resizable=*/true));
}
// A pointer that keeps a storage alive.
static c10::DataPtr share(StorageImpl* storage, c10::Device device) {
  using Reference = intrusive_ptr<StorageImpl>;
  auto* kept = new Reference(Reference::reclaim_copy(storage));
  auto drop = [](void* context) { delete static_cast<Reference*>(context); };
  return {const_cast<void*>(storage->data()), kept, drop, device};
}
static Tensor tensor_over(c10::Storage storage, DispatchKey key, const Tensor& like) {
  auto made = at::detail::make_tensor<c10::TensorImpl>(std::move(storage), DispatchKeySet(key), like.dtype());
  auto* impl = made.unsafeGetTensorImpl();
  impl->set_sizes_and_strides(like.sizes(), like.strides(), like.storage_offset());
  if (like.unsafeGetTensorImpl()->is_wrapped_number()) impl->set_wrapped_number(true);
  if (like.is_conj()) impl->_set_conj(true);
  if (like.is_neg()) impl->_set_neg(true);
  return made;
}

// ------------------------------------------------------------------------------- one operator: CPU tensors in between

class OperatorCall {
 public:
  c10::DeviceIndex device = -1;

  c10::Storage to_cpu(const c10::Storage& storage) {
    auto* impl = storage.unsafeGetStorageImpl();
    if (auto found = cpu_storages_.find(impl); found != cpu_storages_.end()) return found->second;
    auto made = new_storage(share(impl, c10::kCPU), impl->nbytes(), c10::GetCPUAllocator());
    cpu_storages_.emplace(impl, made);
    cuda_storages_.emplace(made.unsafeGetStorageImpl(), storage);
    return made;
  }

  Tensor to_cpu(const Tensor& tensor) {
    for (const auto& [original, alias] : tensors_)
      if (original.is_same(tensor)) return alias;
    auto alias = tensor_over(to_cpu(tensor.storage()), DispatchKey::CPU, tensor);
    view_keys_.emplace(alias.storage().unsafeGetStorageImpl(), tensor.key_set());
    tensors_.emplace_back(tensor, alias);
    return alias;
  }

  // What an operator returned: one of its arguments, a view of one, or something new.
  Tensor to_cuda(const Tensor& result) {
    if (!result.defined() || !result.device().is_cpu()) return result;
    for (const auto& [original, alias] : tensors_)
      if (alias.is_same(result)) return original;
    auto* impl = result.storage().unsafeGetStorageImpl();
    auto found = cuda_storages_.find(impl);
    if (found == cuda_storages_.end()) {
      const auto num_bytes = static_cast<int64_t>(impl->nbytes());
      auto data = adopt(share(impl, c10::kCPU), num_bytes, cuda(device < 0 ? selected : device));
      found = cuda_storages_.emplace(impl, new_storage(std::move(data), num_bytes, &allocator)).first;
    }
    auto keys = view_keys_.find(impl);
    if (keys == view_keys_.end()) return tensor_over(found->second, DispatchKey::CUDA, result);
    // a view of an argument: in inference mode, views of ordinary tensors are ordinary tensors
    auto storage = found->second;
    auto view = at::detail::make_tensor<c10::TensorImpl>(
        c10::TensorImpl::VIEW, std::move(storage), keys->second, result.dtype());
    view.unsafeGetTensorImpl()->set_sizes_and_strides(result.sizes(), result.strides(), result.storage_offset());
    view.unsafeGetTensorImpl()->_set_conj(result.is_conj());
    view.unsafeGetTensorImpl()->_set_neg(result.is_neg());
    return view;
  }

  // Carries over what in-place operators and `out=` did to sizes and memory of their arguments.
  void write_back() {
    for (const auto& [original, alias] : tensors_) {
      auto* target = original.storage().unsafeGetStorageImpl();
      auto* source = alias.storage().unsafeGetStorageImpl();
      if (target->data() != source->data() || target->nbytes() != source->nbytes()) {
        const auto num_bytes = static_cast<int64_t>(source->nbytes());
        void* data = const_cast<void*>(source->data());
        auto taken = source->set_data_ptr(c10::DataPtr(data, c10::Device(c10::kCPU)));
        target->set_data_ptr_noswap(adopt(std::move(taken), num_bytes, original.device()));
        target->set_nbytes(num_bytes);
      }
      const bool is_same = original.sizes() == alias.sizes() && original.strides() == alias.strides() &&
          original.storage_offset() == alias.storage_offset();
      if (!is_same)
        original.unsafeGetTensorImpl()->set_sizes_and_strides(alias.sizes(), alias.strides(), alias.storage_offset());
    }
  }

 private:
  std::unordered_map<StorageImpl*, c10::Storage> cpu_storages_, cuda_storages_;
  std::unordered_map<StorageImpl*, DispatchKeySet> view_keys_;
  std::vector<std::pair<Tensor, Tensor>> tensors_;  // CUDA tensor and its CPU alias
};

// ----------------------------------------------------------------------------------------------------- the fallback

static std::unordered_set<std::string> takes_cpu_scalars;  // operators without a device check, see cuda.py

static bool is_in(const std::string& name, std::initializer_list<const char*> names) {
  return std::any_of(names.begin(), names.end(), [&](const char* one) { return name == one; });
}
static bool launches(const std::string& name) {
  return !is_in(name, {"aten::view", "aten::as_strided", "aten::_reshape_alias", "aten::unfold", "aten::view_as_real",
                       "aten::view_as_complex", "aten::set_", "aten::resize_", "aten::is_set_to", "aten::empty",
                       "aten::empty_strided", "aten::_local_scalar_dense"});
}
// Operators whose result or its size the host needs before it can go on.
static bool waits(const std::string& name) {
  return is_in(name, {"aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select", "aten::_unique2",
                      "aten::unique_dim", "aten::unique_consecutive", "aten::bincount", "aten::equal",
                      "aten::is_nonzero", "aten::repeat_interleave"});
}

class Arguments {
 public:
  Arguments(const c10::OperatorHandle& op, OperatorCall& call) : call_(call), schema_(op.schema()) {
    name_ = schema_.name();
    full_name_ = schema_.overload_name().empty() ? name_ : name_ + "." + schema_.overload_name();
    is_index_ = name_.rfind("aten::index", 0) == 0 || name_.rfind("aten::_index_put", 0) == 0 ||
        is_in(name_, {"aten::_unsafe_index", "aten::_unsafe_index_put"});
  }

  void convert(torch::jit::Stack& stack) {
    const auto num_arguments = schema_.arguments().size();
    const auto first = stack.size() - num_arguments;
    for (size_t i = 0; i < num_arguments; i++) convert(stack[first + i], i);
    for (const auto& tensor : call_.device < 0 ? std::vector<Tensor>{} : cpu_tensors_) {
      const bool is_scalar = tensor.dim() == 0 && (takes_cpu_scalars.count(full_name_) || takes_cpu_scalars.count(name_));
      TORCH_CHECK(is_scalar, "Expected all tensors to be on the same device, but found at least two devices, ",
                  cuda(call_.device), " and cpu! (", full_name_, ", CPU tensor of size ", tensor.sizes(), ")");
    }
  }

  void count() const {
    if (launches(name_)) statistics.add("kernel: " + full_name_);
    if (waits(name_) || (has_bool_index_ && name_ != "aten::index")) statistics.add("wait: " + full_name_);
  }

 private:
  Tensor convert(const Tensor& tensor, size_t position) {
    if (!tensor.defined()) return tensor;
    if (tensor.device().is_cuda()) {
      const auto index = tensor.device().index();
      TORCH_CHECK(call_.device < 0 || call_.device == index,
                  "Expected all tensors to be on the same device, but found at least two devices, ",
                  cuda(call_.device), " and ", cuda(index), "! (", full_name_, ")");
      call_.device = index;
      return call_.to_cpu(tensor);
    }
    if (tensor.device().is_cpu() && !(is_index_ && position == 1)) cpu_tensors_.push_back(tensor);
    return tensor;
  }

  void convert(IValue& value, size_t position) {
    if (value.isTensor()) {
      value = IValue(convert(value.toTensor(), position));
    } else if (value.isTensorList()) {
      c10::List<Tensor> made;
      for (const Tensor& tensor : value.toTensorVector()) made.push_back(convert(tensor, position));
      value = IValue(made);
    } else if (value.isOptionalTensorList()) {
      c10::List<std::optional<Tensor>> made;
      for (std::optional<Tensor> tensor : value.toOptionalTensorList()) {
        const bool is_given = tensor.has_value() && tensor->defined();
        has_bool_index_ |= is_given && (tensor->scalar_type() == at::kBool || tensor->scalar_type() == at::kByte);
        made.push_back(is_given ? std::optional<Tensor>(convert(*tensor, position)) : tensor);
      }
      value = IValue(made);
    } else if (value.isDevice() && value.toDevice().is_cuda()) {
      if (call_.device < 0) call_.device = value.toDevice().has_index() ? value.toDevice().index() : selected;
      value = IValue(c10::Device(c10::kCPU));
    } else if (value.isStorage() && value.toStorage().device().is_cuda()) {
      value = IValue(call_.to_cpu(value.toStorage()));
    } else if (value.isBool() && schema_.arguments()[position].name() == "pin_memory") {
      value = IValue(false);
    }
  }

  OperatorCall& call_;
  const c10::FunctionSchema& schema_;
  std::string name_, full_name_;
  bool is_index_ = false, has_bool_index_ = false;
  std::vector<Tensor> cpu_tensors_;
};

static void run_on_cpu(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  OperatorCall call;
  Arguments arguments(op, call);
  arguments.convert(*stack);
  arguments.count();
  {
    at::AutoDispatchBelowADInplaceOrView below_autograd;
    c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::autocast_dispatch_keyset);
    c10::impl::ExcludeDispatchKeyGuard no_python(
        DispatchKeySet({DispatchKey::Python, DispatchKey::PythonTLSSnapshot}));
    op.redispatchBoxed(DispatchKeySet(DispatchKey::CPU), stack);
  }
  call.write_back();
  const auto num_results = op.schema().returns().size();
  for (size_t i = stack->size() - num_results; i < stack->size(); i++) {
    IValue& value = (*stack)[i];
    if (value.isTensor()) {
      value = IValue(call.to_cuda(value.toTensor()));
    } else if (value.isTensorList()) {
      c10::List<Tensor> made;
      for (const Tensor& tensor : value.toTensorVector()) made.push_back(call.to_cuda(tensor));
      value = IValue(made);
    }
  }
}

// ------------------------------------------------------------------ operators that a CPU kernel cannot stand in for

static Tensor cpu_alias(const Tensor& tensor) {
  OperatorCall call;
  return call.to_cpu(tensor);
}

static Tensor& copy_(Tensor& self, const Tensor& source, bool) {
  const bool to_host = self.device().is_cpu(), from_host = source.device().is_cpu();
  statistics.add(to_host ? "copy: to host" : from_host ? "copy: to device" : "kernel: aten::copy_");
  if (to_host) statistics.add("wait: copy to host");
  at::AutoDispatchBelowADInplaceOrView below_autograd;
  c10::impl::ExcludeDispatchKeyGuard no_python(DispatchKeySet({DispatchKey::Python, DispatchKey::PythonTLSSnapshot}));
  Tensor target = to_host ? self : cpu_alias(self);
  target.copy_(from_host ? source : cpu_alias(source));
  return self;
}

// Makes `device` the selected one, for the allocator.
class Selected {
 public:
  explicit Selected(const std::optional<at::Device>& device) : before_(selected) {
    if (device.has_value() && device->has_index()) selected = device->index();
  }
  ~Selected() { selected = before_; }

 private:
  c10::DeviceIndex before_;
};
static at::ScalarType type_or_default(const std::optional<at::ScalarType>& dtype) {
  return dtype.value_or(at::get_default_dtype_as_scalartype());
}

static Tensor empty(
    c10::SymIntArrayRef size, std::optional<at::ScalarType> dtype, std::optional<at::Layout>,
    std::optional<at::Device> device, std::optional<bool>, std::optional<at::MemoryFormat> format) {
  Selected on(device);
  return at::detail::empty_generic(
      C10_AS_INTARRAYREF_SLOW(size), &allocator, DispatchKeySet(DispatchKey::CUDA), type_or_default(dtype), format);
}
static Tensor empty_strided(
    c10::SymIntArrayRef size, c10::SymIntArrayRef stride, std::optional<at::ScalarType> dtype,
    std::optional<at::Layout>, std::optional<at::Device> device, std::optional<bool>) {
  Selected on(device);
  return at::detail::empty_strided_generic(
      C10_AS_INTARRAYREF_SLOW(size), C10_AS_INTARRAYREF_SLOW(stride), &allocator, DispatchKeySet(DispatchKey::CUDA),
      type_or_default(dtype));
}

static Tensor& set_storage(
    Tensor& self, c10::Storage source, c10::SymInt offset, c10::SymIntArrayRef size, c10::SymIntArrayRef stride) {
  auto* impl = self.unsafeGetTensorImpl();
  impl->set_storage_keep_dtype(std::move(source));
  const auto sizes = C10_AS_INTARRAYREF_SLOW(size);
  if (stride.empty() && !sizes.empty()) {
    impl->set_storage_offset(offset.expect_int());
    impl->set_sizes_contiguous(sizes);
  } else {
    impl->set_sizes_and_strides(sizes, C10_AS_INTARRAYREF_SLOW(stride), offset.expect_int());
  }
  return self;
}
static Tensor& set_flat(Tensor& self, c10::Storage source) {
  const std::vector<c10::SymInt> size{static_cast<int64_t>(source.nbytes() / self.dtype().itemsize())}, stride{1};
  return set_storage(self, std::move(source), 0, size, stride);
}
static Tensor& set_like(Tensor& self, const Tensor& source) {
  if (self.is_same(source)) return self;
  self.unsafeGetTensorImpl()->set_storage_keep_dtype(source.storage());
  self.unsafeGetTensorImpl()->set_sizes_and_strides(source.sizes(), source.strides(), source.storage_offset());
  return self;
}
static Tensor& set_empty(Tensor& self) { return set_flat(self, new_storage(allocator.allocate(0), 0, &allocator)); }

static void resize_storage(const c10::Storage& storage, int64_t num_bytes) {
  Selected on(storage.device());
  auto* impl = storage.unsafeGetStorageImpl();
  auto data = allocator.allocate(num_bytes);
  const auto num_kept = std::min<int64_t>(num_bytes, impl->nbytes());
  if (num_kept > 0) std::memcpy(data.get(), impl->data(), num_kept);
  impl->set_data_ptr_noswap(std::move(data));
  impl->set_nbytes(num_bytes);
}
static const Tensor& resize_(const Tensor& self, c10::SymIntArrayRef size, std::optional<at::MemoryFormat>) {
  const auto sizes = C10_AS_INTARRAYREF_SLOW(size);
  const auto num_elements = c10::multiply_integers(sizes) + self.storage_offset();
  const auto num_bytes = num_elements * static_cast<int64_t>(self.element_size());
  if (num_bytes > static_cast<int64_t>(self.storage().nbytes())) resize_storage(self.storage(), num_bytes);
  self.unsafeGetTensorImpl()->set_sizes_contiguous(sizes);
  return self;
}
static void record_stream(Tensor&, c10::Stream) {}

// Records the call, and chooses the math kernel (0), which consists of operators that the fallback runs.
static int64_t choose_attention(
    const Tensor& query, const Tensor& key, const Tensor&, const std::optional<Tensor>& mask, double, bool is_causal,
    std::optional<double>, bool enable_gqa) {
  const bool is_traced = query.key_set().has(DispatchKey::Python);
  if (is_traced || query.unsafeGetTensorImpl()->has_symbolic_sizes_strides()) return 0;
  std::ostringstream text;
  text << "query " << query.sizes() << " key " << key.sizes() << " dtype " << query.dtype() << " mask ";
  if (mask.has_value() && mask->defined()) text << mask->sizes() << " " << mask->dtype();
  else text << "none";
  text << (is_causal ? " causal" : "") << (enable_gqa ? " gqa" : "");
  statistics.add_attention(text.str());
  return 0;
}

}  // namespace simulated

TORCH_LIBRARY_IMPL(_, CUDA, library) {
  library.fallback(torch::CppFunction::makeFromBoxedFunction<&simulated::run_on_cpu>());
}
TORCH_LIBRARY_IMPL(aten, CUDA, library) {
  library.impl("copy_", simulated::copy_);
  library.impl("empty.memory_format", simulated::empty);
  library.impl("empty_strided", simulated::empty_strided);
  library.impl("set_.source_Storage_storage_offset", simulated::set_storage);
  library.impl("set_.source_Storage", simulated::set_flat);
  library.impl("set_.source_Tensor", simulated::set_like);
  library.impl("set_", simulated::set_empty);
  library.impl("resize_", simulated::resize_);
  library.impl("record_stream", simulated::record_stream);
}

PYBIND11_MODULE(TORCH_EXTENSION_NAME, module) {
  c10::SetAllocator(c10::kCUDA, &simulated::allocator, 1);
  at::native::_fused_sdp_choice_stub.set_cuda_dispatch_ptr(&simulated::choose_attention);
  module.def("allow_cpu_scalars", [](const std::vector<std::string>& names) {
    simulated::takes_cpu_scalars.insert(names.begin(), names.end());
  });
  module.def("events", [] { return simulated::statistics.events(); });
  module.def("attention", [] { return simulated::statistics.attention(); });
  module.def("clear", [] { simulated::statistics.clear(); });
  module.def("allocated", [] { return simulated::statistics.allocated(); });
  module.def("peak", [] { return simulated::statistics.peak(); });
  module.def("reset_peak", [] { simulated::statistics.reset_peak(); });
  module.def("num_devices", [] { return static_cast<int>(simulated::num_devices()); });
  module.def("current_device", [] { return static_cast<int>(simulated::selected); });
  module.def("set_device", [](int index) { simulated::selected = static_cast<c10::DeviceIndex>(index); });
  module.def("cpu_alias", &simulated::cpu_alias);
  module.def("resize_storage", [](const at::Tensor& tensor, int64_t num_bytes) {
    simulated::resize_storage(tensor.storage(), num_bytes);
  });
}
