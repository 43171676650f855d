// expect: M2
// Each group is loaded as it should be, by four threads.
extern "C" __global__ void add_four(const float* x, const float* y, float* out, int n) {
    int own = blockIdx.x * blockDim.x + threadIdx.x;
    int groups = (n + 3) / 4;
    for (int r = 0; r < 4 && own < groups; r++) {
        int vector = (own + 256 * r) % groups;
        int first = 4 * vector;
        if (first + 3 < n) {
            float4 a = reinterpret_cast<const float4*>(x)[vector];
            float4 b = reinterpret_cast<const float4*>(y)[vector];
            float4 sum = make_float4(a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w);
            reinterpret_cast<float4*>(out)[vector] = sum;
        } else {
            for (int i = first; i < n; i++) out[i] = x[i] + y[i];
        }
    }
}
