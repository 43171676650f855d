// expect: X3
// Pairs instead of groups of four: 8 bytes an access.
extern "C" __global__ void add_four(const float* x, const float* y, float* out, int n) {
    int vector = blockIdx.x * blockDim.x + threadIdx.x;
    int first = 4 * vector;  // the first element of this thread's group
    for (int pair = 2 * vector; pair < 2 * vector + 2; pair++) {
        if (2 * pair + 1 < n) {
            float2 a = reinterpret_cast<const float2*>(x)[pair], b = reinterpret_cast<const float2*>(y)[pair];
            reinterpret_cast<float2*>(out)[pair] = make_float2(a.x + b.x, a.y + b.y);
        } else if (2 * pair < n) {
            out[2 * pair] = x[2 * pair] + y[2 * pair];
        }
    }
}
