// What libtorch asks about CUDA before and after the device is there. It is loaded before torch's own libraries, because
// they look the hooks up once.
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>

#include <cstdlib>

namespace at {

static const c10::impl::DeviceGuardImplInterface* find_guard() {
  return c10::impl::hasDeviceGuardImpl(c10::kCUDA) ? c10::impl::getDeviceGuardImpl(c10::kCUDA) : nullptr;
}

struct SimulatedHooks final : CUDAHooksInterface {
  explicit SimulatedHooks(CUDAHooksArgs) {}
  void init() const override {}
  bool isBuilt() const override { return find_guard() != nullptr; }
  bool isAvailable() const override { return find_guard() != nullptr; }
  bool hasCUDA() const override { return find_guard() != nullptr; }
  bool hasCUDART() const override { return true; }
  bool hasPrimaryContext(c10::DeviceIndex) const override { return find_guard() != nullptr; }
  int getNumGPUs() const override { return deviceCount(); }
  c10::DeviceIndex deviceCount() const override {
    const char* given = std::getenv("SIMULATED_GPUS");
    return static_cast<c10::DeviceIndex>(given == nullptr ? 1 : std::atoi(given));
  }
  c10::DeviceIndex current_device() const override { return getCurrentDevice(); }
  c10::DeviceIndex getCurrentDevice() const override {
    const auto* guard = find_guard();
    return guard == nullptr ? 0 : guard->getDevice().index();
  }
  void setCurrentDevice(c10::DeviceIndex index) const override {
    if (const auto* guard = find_guard()) guard->setDevice({c10::kCUDA, index});
  }
  c10::DeviceIndex exchangeDevice(c10::DeviceIndex index) const override {
    const auto before = getCurrentDevice();
    setCurrentDevice(index);
    return before;
  }
  c10::DeviceIndex maybeExchangeDevice(c10::DeviceIndex index) const override {
    return index < 0 ? getCurrentDevice() : exchangeDevice(index);
  }
  c10::Allocator* getPinnedMemoryAllocator() const override { return c10::GetCPUAllocator(); }
  c10::Allocator* getCUDADeviceAllocator() const override { return c10::GetAllocator(c10::kCUDA); }
  void deviceSynchronize(c10::DeviceIndex) const override {}
  const Generator& getDefaultGenerator(c10::DeviceIndex) const override {
    // another seed than the CPU's default: code that draws from the wrong generator gets other numbers
    static Generator generator = make_generator<CPUGeneratorImpl>(1234);
    return generator;
  }
  Generator getNewGenerator(c10::DeviceIndex) const override { return make_generator<CPUGeneratorImpl>(0); }
};
C10_REGISTER_TYPED_CLASS(CUDAHooksRegistry, "CUDAHooks", SimulatedHooks)

}  // namespace at
