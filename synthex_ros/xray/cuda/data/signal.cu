// From area densities to the expected signal of a pixel and its quantum variance.

#define MAX_MATERIALS 8

// Weights of Catmull and Rom (1974) for the four samples around a point between the middle two.
__device__ inline void spline(float f, float* w) {
    w[0] = f * (-0.5f + f * (1.0f - 0.5f * f));
    w[1] = 1.0f + f * f * (-2.5f + 1.5f * f);
    w[2] = f * (0.5f + f * (2.0f - 1.5f * f));
    w[3] = f * f * (-0.5f + 0.5f * f);
}

// Fill out (images, rows, columns) from images of height x width pixels of the same detector that
// go on for two pixels beyond each edge: coarse (images, height + 4, width + 4).
extern "C" __global__ void magnify(
    const float* __restrict__ coarse, const int height, const int width, const int rows,
    const int columns, float* __restrict__ out) {
    const int column = blockIdx.x * blockDim.x + threadIdx.x;
    const int row = blockIdx.y * blockDim.y + threadIdx.y;
    if (column >= columns || row >= rows) return;
    const float x = (column + 0.5f) * width / columns + 1.5f;
    const float y = (row + 0.5f) * height / rows + 1.5f;
    const int i = (int)x, j = (int)y, stride = width + 4;
    float wx[4], wy[4], total = 0.0f;
    spline(x - i, wx);
    spline(y - j, wy);
    const float* image = coarse + (long long)blockIdx.z * (height + 4) * stride;
    for (int b = 0; b < 4; ++b) {
        const float* line = image + (j - 1 + b) * stride + i - 1;
        total += wy[b] * (wx[0] * line[0] + wx[1] * line[1] + wx[2] * line[2] + wx[3] * line[3]);
    }
    out[((long long)blockIdx.z * rows + row) * columns + column] = fmaxf(total, 0.0f);
}

// Fill signal [keV] and variance [keV^2] (N, rows, columns) behind area (views, materials, rows,
// columns), of which each frame has one (area_of_frame), and, from pixel (top, left) on, behind devices: paths (N, solids, height, width) [m]
// in place of the tissue removed (N, materials, height, width).
//
// By frame: mu (materials, nodes), mu_device (solids, nodes), weights (2, nodes), and view:
// piercing point (u, v) and slope a pixel (row, column) of the cosine law.
extern "C" __global__ void expose(
    const float* __restrict__ area, const int* __restrict__ area_of_frame,
    const float* __restrict__ mu,
    const float* __restrict__ weights, const double* __restrict__ views, const int profiled,
    const float* __restrict__ profile, const int materials, const int nodes, const int solids,
    const float* __restrict__ removed, const float* __restrict__ paths,
    const float* __restrict__ mu_device, const int top, const int left, const int height,
    const int width, const int rows, const int columns, float* __restrict__ signal,
    float* __restrict__ variance) {
    const int column = blockIdx.x * blockDim.x + threadIdx.x;
    const int row = blockIdx.y * blockDim.y + threadIdx.y;
    const long long frame = blockIdx.z;
    if (column >= columns || row >= rows) return;
    const long long size = (long long)rows * columns, place = (long long)row * columns + column;
    const long long box = (long long)height * width;
    const long long within = (long long)(row - top) * width + column - left;
    const bool inside =
        solids && row >= top && row < top + height && column >= left && column < left + width;
    float tissue[MAX_MATERIALS];
    for (int m = 0; m < MAX_MATERIALS; ++m) {
        tissue[m] = 0.0f;
        if (m >= materials) continue;
        tissue[m] = area[((long long)area_of_frame[frame] * materials + m) * size + place];
        if (inside)
            tissue[m] = fmaxf(tissue[m] - removed[(frame * materials + m) * box + within], 0.0f);
    }
    float energy = 0.0f, square = 0.0f;
    for (int k = 0; k < nodes; ++k) {
        float depth = 0.0f;
        for (int m = 0; m < MAX_MATERIALS; ++m)
            if (m < materials) depth += mu[(frame * materials + m) * nodes + k] * tissue[m];
        if (inside)
            for (int d = 0; d < solids; ++d)
                depth += mu_device[(frame * solids + d) * nodes + k] *
                         paths[(frame * solids + d) * box + within];
        const float passed = expf(-depth);
        energy += weights[(frame * 2) * nodes + k] * passed;
        square += weights[(frame * 2 + 1) * nodes + k] * passed;
    }
    const double* view = views + 4 * frame;
    const float x = (float)((column - view[0]) * view[3]);
    const float y = (float)((row - view[1]) * view[2]);
    const float cosine2 = 1.0f / (1.0f + y * y + x * x);
    float fall = cosine2 * sqrtf(cosine2);
    if (profiled) fall *= profile[frame * size + place];
    signal[frame * size + place] = energy * fall;
    variance[frame * size + place] = square * fall;
}
