"""A simulated CUDA device for the CPU build of torch: whole programs run on it, with real `cuda:N` tensors.

It finds tensors on the wrong device, collectives on CPU tensors, waits of the host for the device, and shapes of
attention. It has no streams, no kernels of its own, no limits of types or alignment, no cuDNN, Triton or NCCL, and says
nothing about speed. It relies on boxed fallbacks, `CUDAHooksInterface` and the stub of scaled_dot_product_attention,
which may change with torch.
"""
