extern "C" __global__ void swizzle_on_one_side(const float* x, float* out, int rows, int cols) {
    __shared__ float tile[32][32];
    int tx = threadIdx.x, ty = threadIdx.y, first_row = blockIdx.y * 32,
        first_col = blockIdx.x * 32;
    for (int j = ty; j < 32; j += 8)
        if (first_row + j < rows && first_col + tx < cols)
            tile[j][tx ^ j] = x[(first_row + j) * cols + first_col + tx];
    __syncthreads();
    for (int j = ty; j < 32; j += 8)
        if (first_col + j < cols && first_row + tx < rows)
            out[(first_col + j) * rows + first_row + tx] = tile[tx][j];
}
