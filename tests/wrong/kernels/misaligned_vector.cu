extern "C" __global__ void misaligned_vector(const float* x, float* out, int cols) {
    const float* from = x + blockIdx.x * cols;
    float* to = out + blockIdx.x * cols;
    int vectors = cols / 4;
    for (int i = threadIdx.x; i < vectors; i += blockDim.x)
        reinterpret_cast<float4*>(to)[i] = reinterpret_cast<const float4*>(from)[i];
    for (int i = 4 * vectors + threadIdx.x; i < cols; i += blockDim.x) to[i] = from[i];
}
