"""The only doors to hardware. Nothing outside this room imports NVML or CUDA."""
