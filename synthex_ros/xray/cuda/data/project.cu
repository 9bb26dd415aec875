// Line integrals through packed voxels, and the tissue that lies where a device is.
//
// Voxels are those of voxel_densities.pack: LANES uint16 levels side by side, one empty voxel
// around the grid, any memory layout (strides sx, sy, sz in voxels). A ray is `source`, `corner`,
// `along_u` and `along_v` in voxel indices (projector.rays_in_grid), 12 numbers a view.

#ifndef LANES
#define LANES 4
#endif

struct __align__(2 * LANES) Levels {
    unsigned short lane[LANES];
};

__device__ inline void way_to_pixel(const double* ray, double row, double column, double* way) {
    for (int axis = 0; axis < 3; ++axis)
        way[axis] = ray[3 + axis] + column * ray[6 + axis] + row * ray[9 + axis] - ray[axis];
}

__device__ inline void add_bilinear(
    const Levels* voxels, long long at, long long next_i, long long next_j, float fi, float fj,
    float weight, float* sums) {
    const Levels a = voxels[at], b = voxels[at + next_i];
    const Levels c = voxels[at + next_j], d = voxels[at + next_i + next_j];
    const float wd = weight * fi * fj, wb = weight * fi - wd, wc = weight * fj - wd;
    const float wa = weight - wb - wc - wd;
#pragma unroll
    for (int m = 0; m < LANES; ++m)
        sums[m] += wa * a.lane[m] + wb * b.lane[m] + wc * c.lane[m] + wd * d.lane[m];
}

// Narrow first..last to the slices at which start + slope * slice lies in -1..count.
__device__ inline void clip_slices(
    double start, double slope, double count, double* first, double* last) {
    if (fabs(slope) < 1e-12) {
        if (start <= -1.0 || start >= count) *last = *first - 1.0;
        return;
    }
    const double a = (-1.0 - start) / slope, b = (count - start) / slope;
    *first = fmax(*first, fmin(a, b));
    *last = fmin(*last, fmax(a, b));
}

// Fill out (N, materials, rows, columns) [g/cm^2]. Joseph, IEEE Trans. Med. Imaging 1 (1982) 192:
// bilinear in the slices across the axis along which a ray meets most of them, all lanes at once.
extern "C" __global__ void project(
    const Levels* __restrict__ voxels, const int nx, const int ny, const int nz,
    const long long sx, const long long sy, const long long sz, const double spacing_x,
    const double spacing_y, const double spacing_z, const double* __restrict__ rays,
    const float* __restrict__ unit_g_cm3, const int materials, const int rows, const int columns,
    float* __restrict__ out) {
    const int column = blockIdx.x * blockDim.x + threadIdx.x;
    const int row = blockIdx.y * blockDim.y + threadIdx.y;
    const int view = blockIdx.z;
    if (column >= columns || row >= rows) return;
    const double* ray = rays + 12 * view;
    double way[3];
    way_to_pixel(ray, row, column, way);
    const double ax = fabs(way[0]), ay = fabs(way[1]), az = fabs(way[2]);
    const bool across_x = ax >= ay && ax >= az, across_y = !across_x && ay >= az;
    const double pi = across_x ? ray[1] : ray[0], wi = across_x ? way[1] : way[0];
    const double pj = across_x || across_y ? ray[2] : ray[1];
    const double wj = across_x || across_y ? way[2] : way[1];
    const double pk = across_x ? ray[0] : (across_y ? ray[1] : ray[2]);
    const double wk = across_x ? way[0] : (across_y ? way[1] : way[2]);
    const int ni = across_x ? ny : nx, nj = across_x || across_y ? nz : ny;
    const int nk = across_x ? nx : (across_y ? ny : nz);
    const long long si = across_x ? sy : sx, sj = across_x || across_y ? sz : sy;
    const long long sk = across_x ? sx : (across_y ? sy : sz);

    // Slices between focal spot and pixel, then those that the ray meets inside the grid.
    const double di = wi / wk, dj = wj / wk;
    double low = fmax(0.0, fmin(pk, pk + wk)), high = fmin(nk - 1.0, fmax(pk, pk + wk));
    clip_slices(pi - pk * di, di, ni, &low, &high);
    clip_slices(pj - pk * dj, dj, nj, &low, &high);
    const int first = (int)ceil(low);
    const int count = high < low ? 0 : (int)floor(high) - first + 1;
    const float start_i = (float)(pi + (first - pk) * di + 1.0), step_i = (float)di;
    const float start_j = (float)(pj + (first - pk) * dj + 1.0), step_j = (float)dj;
    float sums[LANES];
    for (int m = 0; m < LANES; ++m) sums[m] = 0.0f;
    const Levels* slice = voxels + (first + 1) * sk;
    for (int n = 0; n < count; ++n, slice += sk) {
        const float x = start_i + n * step_i, y = start_j + n * step_j;
        const int i = min(max((int)x, 0), ni), j = min(max((int)y, 0), nj);
        add_bilinear(slice, i * si + j * sj, si, sj, x - i, y - j, 1.0f, sums);
    }
    const double lx = way[0] * spacing_x, ly = way[1] * spacing_y, lz = way[2] * spacing_z;
    const float slice_cm = (float)(100.0 * sqrt(lx * lx + ly * ly + lz * lz) / fabs(wk));
    const long long area = (long long)rows * columns;
    float* pixel = out + view * materials * area + (long long)row * columns + column;
    for (int m = 0; m < LANES; ++m)
        if (m < materials) pixel[m * area] = sums[m] * unit_g_cm3[m] * slice_cm;
}

// Add to removed (N, materials, height, width) path times mean density between entry and exit.
//
// paths, entries, exits (N, layers, height, width) [m] start at pixel (top, left) of the image.
extern "C" __global__ void displace(
    const Levels* __restrict__ voxels, const int nx, const int ny, const int nz,
    const long long sx, const long long sy, const long long sz, const double spacing_x,
    const double spacing_y, const double spacing_z, const double* __restrict__ rays,
    const float* __restrict__ unit_g_cm3, const int materials, const int layers, const int top,
    const int left, const int height, const int width, const float* __restrict__ paths,
    const float* __restrict__ entries, const float* __restrict__ exits, const float step_m,
    const int max_samples, float* __restrict__ removed) {
    const int column = blockIdx.x * blockDim.x + threadIdx.x;
    const int row = blockIdx.y * blockDim.y + threadIdx.y;
    const int view = blockIdx.z;
    if (column >= width || row >= height) return;
    const long long area = (long long)height * width, place = (long long)row * width + column;
    const double* ray = rays + 12 * view;
    double way[3];
    way_to_pixel(ray, top + row, left + column, way);
    const double lx = way[0] * spacing_x, ly = way[1] * spacing_y, lz = way[2] * spacing_z;
    const double length_m = sqrt(lx * lx + ly * ly + lz * lz);
    const float vx = (float)(way[0] / length_m), vy = (float)(way[1] / length_m);
    const float vz = (float)(way[2] / length_m);
    for (int layer = 0; layer < layers; ++layer) {
        const long long at = ((long long)view * layers + layer) * area + place;
        const float path = paths[at];
        if (!(path > 0.0f)) continue;
        const float near = entries[at], span = exits[at] - near;
        const int samples = min(max((int)ceilf(span / step_m), 1), max_samples);
        float sums[LANES];
        for (int m = 0; m < LANES; ++m) sums[m] = 0.0f;
        for (int n = 0; n < samples; ++n) {
            const float t = near + (n + 0.5f) * span / samples;
            const float x = (float)ray[0] + t * vx + 1.0f, y = (float)ray[1] + t * vy + 1.0f;
            const float z = (float)ray[2] + t * vz + 1.0f;
            if (!(x > 0 && y > 0 && z > 0 && x < nx + 1 && y < ny + 1 && z < nz + 1)) continue;
            const int i = min((int)x, nx), j = min((int)y, ny), k = min((int)z, nz);
            const long long voxel = i * sx + j * sy + k * sz;
            add_bilinear(voxels, voxel, sx, sy, x - i, y - j, 1.0f - (z - k), sums);
            add_bilinear(voxels, voxel + sz, sx, sy, x - i, y - j, z - k, sums);
        }
        for (int m = 0; m < LANES; ++m)
            if (m < materials)
                removed[((long long)view * materials + m) * area + place] +=
                    100.0f * path * sums[m] * unit_g_cm3[m] / samples;
    }
}
