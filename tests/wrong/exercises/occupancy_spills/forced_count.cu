// expect: X1
// Says how many registers, and not how many blocks.
constexpr int THREADS = 128, EACH = 32;

extern "C" __global__ void __maxnreg__(32)
softmax(const float* x, float* out, int rows, int cols) {
    __shared__ float partial[THREADS / 32];  // one value a warp
    float own[EACH];  // column t + 128 k of the row, for k in [0, 32)
    int t = threadIdx.x;
    x += (long long)blockIdx.x * cols;  // a block a row
    out += (long long)blockIdx.x * cols;
    const float nothing = -__int_as_float(0x7f800000);  // minus infinity: exp of it is 0
    float most = nothing;
#pragma unroll
    for (int k = 0; k < EACH; k++) {
        int col = t + k * THREADS;
        own[k] = col < cols ? x[col] : nothing;
        most = fmaxf(most, own[k]);
    }
    for (int d = 16; d > 0; d /= 2) most = fmaxf(most, __shfl_xor_sync(~0u, most, d));
    if (t % 32 == 0) partial[t / 32] = most;
    __syncthreads();  // the largest of each warp is there
    for (int w = 0; w < THREADS / 32; w++) most = fmaxf(most, partial[w]);
    float sum = 0;
#pragma unroll
    for (int k = 0; k < EACH; k++) sum += own[k] = t + k * THREADS < cols ? expf(own[k] - most) : 0;
    for (int d = 16; d > 0; d /= 2) sum += __shfl_xor_sync(~0u, sum, d);
    __syncthreads();  // all have read the largest of each warp: the four places are free again
    if (t % 32 == 0) partial[t / 32] = sum;
    __syncthreads();  // the sum of each warp is there
    sum = 0;
    for (int w = 0; w < THREADS / 32; w++) sum += partial[w];
#pragma unroll
    for (int k = 0; k < EACH; k++) {
        int col = t + k * THREADS;
        if (col < cols) out[col] = own[k] / sum;
    }
}
