"""The NVML client against a library in C with the declarations of nvml.h: three GPUs, the last one with a MIG slice."""

import ctypes
import shutil
import subprocess
from pathlib import Path

import pytest

from executor.backends import profiles
from executor.backends.gpu.nvml import GpuNode, Nvml
from executor.backends.profiles import find_driver_dirs, list_gpu_devices, load_profile
from tests.support.optional import needs_torch

SOURCE = r"""
#include <string.h>
typedef struct gpu { const char* uuid; unsigned minor; int is_mig; struct gpu* parent; } *nvmlDevice_t;
typedef struct { unsigned int pid; unsigned long long usedGpuMemory; unsigned int gi, ci; } nvmlProcessInfo_t;
static struct gpu gpus[4] = {{"GPU-a", 2, 0, 0}, {"GPU-b", 0, 0, 0}, {"GPU-c", 1, 0, 0}, {"MIG-d", 9, 1, &gpus[2]}};
int num_processes = 40;
unsigned long long first_bytes = 5ull << 32;
int nvmlInit_v2(void) { return 0; }
const char* nvmlErrorString(int code) { return code == 6 ? "Not Found" : "Unknown Error"; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, nvmlDevice_t* d) {
  if (index > 2) return 6;
  *d = &gpus[index];
  return 0;
}
int nvmlDeviceGetHandleByUUID(const char* uuid, nvmlDevice_t* d) {
  for (int i = 0; i < 4; i++) if (!strcmp(gpus[i].uuid, uuid)) { *d = &gpus[i]; return 0; }
  return 6;
}
int nvmlDeviceIsMigDeviceHandle(nvmlDevice_t d, unsigned* is_mig) { *is_mig = d->is_mig; return 0; }
int nvmlDeviceGetGpuInstanceId(nvmlDevice_t d, unsigned* id) { *id = 7; return 0; }
int nvmlDeviceGetComputeInstanceId(nvmlDevice_t d, unsigned* id) { *id = 0; return 0; }
int nvmlDeviceGetDeviceHandleFromMigDeviceHandle(nvmlDevice_t mig, nvmlDevice_t* d) { *d = mig->parent; return 0; }
int nvmlDeviceGetMinorNumber(nvmlDevice_t d, unsigned* minor) { *minor = d->minor; return 0; }
int nvmlDeviceGetUUID(nvmlDevice_t d, char* uuid, unsigned length) { strncpy(uuid, d->uuid, length); return 0; }
int nvmlDeviceGetComputeRunningProcesses_v3(nvmlDevice_t d, unsigned* count, nvmlProcessInfo_t* infos) {
  if (*count < (unsigned)num_processes) { *count = num_processes; return 7; }
  *count = num_processes;
  for (int i = 0; i < num_processes; i++) infos[i] = (nvmlProcessInfo_t){100 + i, first_bytes + i, 0, 0};
  return 0;
}
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    folder = tmp_path_factory.mktemp("nvml")
    (folder / "nvml.c").write_text(SOURCE)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", folder / "nvml.so", folder / "nvml.c"], check=True)
    return ctypes.CDLL(str(folder / "nvml.so"))


def test_index_and_uuid_name_the_same_node_whatever_its_minor_number(library: ctypes.CDLL) -> None:
    nvml = Nvml(library)
    assert nvml.find("0") == nvml.find("GPU-a") == GpuNode(uuid="GPU-a", minor=2)
    assert list_gpu_devices(nvml.find("GPU-b")) == ["/dev/nvidia0"]
    for name in ("3", "GPU-e"):
        with pytest.raises(OSError, match="Not Found"):
            nvml.find(name)


def test_a_slice_has_the_node_of_its_gpu_and_two_capabilities(library: ctypes.CDLL, tmp_path: Path) -> None:
    found = Nvml(library).find("MIG-d")
    assert found == GpuNode(uuid="MIG-d", minor=1, mig=(7, 0))
    for folder, minor in (("gi7", 66), ("gi7/ci0", 67), ("gi9", 84)):
        path = tmp_path / "gpu1/mig" / folder
        path.mkdir(parents=True, exist_ok=True)
        (path / "access").write_text(f"DeviceFileMinor: {minor}\nDeviceFileMode: 256\nDeviceFileModify: 1\n")
    devices = ["/dev/nvidia1", "/dev/nvidia-caps/nvidia-cap66", "/dev/nvidia-caps/nvidia-cap67"]
    assert list_gpu_devices(found, tmp_path) == devices


def test_memory_of_more_processes_than_expected_is_read(library: ctypes.CDLL) -> None:
    found = Nvml(library).read_memory("0")
    assert found == {100 + i: (5 << 32) + i for i in range(40)}
    first = ctypes.c_ulonglong.in_dll(library, "first_bytes")
    first.value = (1 << 64) - 1  # NVML_VALUE_NOT_AVAILABLE
    with pytest.raises(OSError, match="does not report the GPU memory of processes"):
        Nvml(library).read_memory("0")
    first.value = 5 << 32


@needs_torch
def test_profile_shows_only_the_gpu_that_is_named(library: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch) -> None:
    exists = Path.exists
    nodes = {f"/dev/nvidia{name}" for name in ("0", "1", "2", "ctl", "-uvm")}
    monkeypatch.setattr(Path, "exists", lambda path: str(path) in nodes or exists(path))
    monkeypatch.setattr(profiles, "Nvml", lambda: Nvml(library))
    for name in ("1", "GPU-b"):
        monkeypatch.setenv("ATOMFORGE_SANDBOX_GPU", name)
        profile = load_profile("cuda")
        assert profile.devices == ("/dev/nvidia0", "/dev/nvidiactl", "/dev/nvidia-uvm")
        assert profile.spec["cuda"] == profile.gpu == "GPU-b"
    monkeypatch.setenv("ATOMFORGE_SANDBOX_GPU", "5")
    with pytest.raises(
        ValueError, match="^profile cuda: ATOMFORGE_SANDBOX_GPU is 5, but it cannot be found: .*Not Found"
    ):
        load_profile("cuda")


def test_driver_directories_of_the_library_path_are_kept(tmp_path: Path) -> None:
    (tmp_path / "libcuda.so.1").touch()
    assert find_driver_dirs(f"/usr/lib::{tmp_path}:/nowhere") == (str(tmp_path),)
    assert find_driver_dirs("") == ()
