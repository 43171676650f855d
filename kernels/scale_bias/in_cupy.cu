// Scale and bias in CUDA C++: out[i] = 0.5 * x[i] + 1, x, out (n,) float32, n < 2^31.

// -------------------------------------------------------------------------------------------------
// Idea: write the constants as they come: 0.5 and 1.0.
// Should help: nothing. They are doubles, and C++ widens x[i] to meet them.
// Costs: a conversion, a double multiply-add and a conversion back for each element.
extern "C" __global__ void double_literals(const float* __restrict__ x, float* __restrict__ out, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;  // in [0, blocks * blockDim.x), which may pass n
    if (i < n) out[i] = x[i] * 0.5 + 1.0;
}

// -------------------------------------------------------------------------------------------------
// Idea: float literals.
// Should help: one single-precision multiply-add an element, and no conversion.
// Costs: two letters.
extern "C" __global__ void single_precision(const float* __restrict__ x, float* __restrict__ out, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) out[i] = x[i] * 0.5f + 1.0f;
}
