// Path lengths inside closed meshes by signed depth; mesh_tracer.py says why this is exact.
//
// Sums are integers of FIXED to the metre: their order does not matter, so that threads which add
// to one pixel at the same time give the same bytes every time. Compile without fused
// multiply-add: two triangles must compute the same number at the edge that they share.

#define FIXED 1099511627776.0  // 2^40
#define NOT_MET 0x7fffffffffffffffLL
#define INFINITE __longlong_as_double(0x7ff0000000000000LL)

struct Edge {
    double x, y, dx, dy;
    bool turned;
};

__device__ inline Edge edge_of(double ax, double ay, double bx, double by) {
    Edge e;
    e.turned = !(ax < bx || (ax == bx && ay < by));
    e.x = e.turned ? bx : ax;
    e.y = e.turned ? by : ay;
    e.dx = e.turned ? ax - bx : bx - ax;
    e.dy = e.turned ? ay - by : by - ay;
    return e;
}

__device__ inline bool left_of(const Edge& e, double x, double y) {
    return (e.dx * (y - e.y) - e.dy * (x - e.x) >= 0.0) != e.turned;
}

__device__ inline double least(double a, double b, double c) { return fmin(a, fmin(b, c)); }

__device__ inline double most(double a, double b, double c) { return fmax(a, fmax(b, c)); }

// Fill sums with 0, entries with NOT_MET and exits with its negative; count numbers each.
extern "C" __global__ void clear_paths(
    const long long count, long long* sums, long long* entries, long long* exits) {
    const long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    sums[i] = 0;
    entries[i] = NOT_MET;
    exits[i] = -NOT_MET;
}

// Draw one face a block into images of height x width.
//
// corners (V, 3) in the source frame [m] and pixels (V, 2) of the box; faces (F, 3); image_of_face
// says in which image of sums, entries, exits a face is drawn and frame_of_face in which lens:
// (u, v) of the piercing point in the box and slope a pixel (u, v).
extern "C" __global__ void draw_faces(
    const double* __restrict__ corners, const double* __restrict__ pixels,
    const int* __restrict__ faces, const int* __restrict__ image_of_face,
    const int* __restrict__ frame_of_face, const double* __restrict__ lenses, const int height,
    const int width, long long* sums, long long* entries, long long* exits) {
    const int face = blockIdx.x;
    const double* a = corners + 3 * (long long)faces[3 * face];
    const double* b = corners + 3 * (long long)faces[3 * face + 1];
    const double* c = corners + 3 * (long long)faces[3 * face + 2];
    const double* pa = pixels + 2 * (long long)faces[3 * face];
    const double* pb = pixels + 2 * (long long)faces[3 * face + 1];
    const double* pc = pixels + 2 * (long long)faces[3 * face + 2];
    const double top = fmax(0.0, ceil(least(pa[1], pb[1], pc[1])));
    const double bottom = fmin(height - 1.0, floor(most(pa[1], pb[1], pc[1])));
    const double left = fmax(0.0, ceil(least(pa[0], pb[0], pc[0])));
    const double right = fmin(width - 1.0, floor(most(pa[0], pb[0], pc[0])));
    if (!(top <= bottom && left <= right)) return;
    const double px = b[0] - a[0], py = b[1] - a[1], pz = b[2] - a[2];
    const double qx = c[0] - a[0], qy = c[1] - a[1], qz = c[2] - a[2];
    const double nx = py * qz - pz * qy, ny = pz * qx - px * qz, nz = px * qy - py * qx;
    const double offset = nx * a[0] + ny * a[1] + nz * a[2];
    const double nearest = least(a[2], b[2], c[2]), farthest = most(a[2], b[2], c[2]);
    const Edge ab = edge_of(pa[0], pa[1], pb[0], pb[1]);
    const Edge bc = edge_of(pb[0], pb[1], pc[0], pc[1]);
    const Edge ca = edge_of(pc[0], pc[1], pa[0], pa[1]);
    const double* lens = lenses + 4 * frame_of_face[face];
    const long long image = (long long)image_of_face[face] * height * width;
    const int across = (int)right - (int)left + 1, tall = (int)bottom - (int)top + 1;
    const long long count = (long long)across * tall;
    for (long long n = threadIdx.x; n < count; n += blockDim.x) {
        const int row = (int)top + (int)(n / across), column = (int)left + (int)(n % across);
        const bool away = left_of(ab, column, row);
        if (away != left_of(bc, column, row) || away != left_of(ca, column, row)) continue;
        const double x = (column - lens[0]) * lens[2], y = (row - lens[1]) * lens[3];
        // A face seen edge-on has no plane to divide by; its depth stays within its corners.
        const double facing = nx * x + ny * y + nz;
        double depth = facing == 0.0 ? nearest : offset / facing;
        depth = fmin(fmax(depth, nearest), farthest);
        const long long fixed = __double2ll_rn(depth * FIXED);
        const long long at = image + (long long)row * width + column;
        atomicAdd((unsigned long long*)sums + at, (unsigned long long)(away ? fixed : -fixed));
        atomicMin(entries + at, fixed);
        atomicMax(exits + at, fixed);
    }
}

// Fill paths, entries and exits (images, height, width) [m], float, from drawn images that are
// `finer` times as large: mean path, first entry (+inf) and last exit (-inf) of their rays.
extern "C" __global__ void finish_paths(
    const long long* __restrict__ sums, const long long* __restrict__ first,
    const long long* __restrict__ last, const double* __restrict__ lenses,
    const int images_a_frame, const int finer, const int height, const int width,
    float* __restrict__ paths, float* __restrict__ entries, float* __restrict__ exits) {
    const int column = blockIdx.x * blockDim.x + threadIdx.x;
    const int row = blockIdx.y * blockDim.y + threadIdx.y;
    const long long image = blockIdx.z;
    if (column >= width || row >= height) return;
    const double* lens = lenses + 4 * (image / images_a_frame);
    double path = 0.0, entry = INFINITE, leave = -INFINITE;
    for (int v = 0; v < finer; ++v)
        for (int u = 0; u < finer; ++u) {
            const int fine_row = row * finer + v, fine_column = column * finer + u;
            const long long at =
                (image * height * finer + fine_row) * width * finer + fine_column;
            if (first[at] == NOT_MET) continue;
            const double x = (fine_column - lens[0]) * lens[2];
            const double y = (fine_row - lens[1]) * lens[3];
            const double metres = sqrt(1.0 + x * x + y * y) / FIXED;
            path += (double)(sums[at] > 0 ? sums[at] : 0) * metres;
            entry = fmin(entry, (double)first[at] * metres);
            leave = fmax(leave, (double)last[at] * metres);
        }
    const long long at = (image * height + row) * width + column;
    paths[at] = (float)(path / (finer * finer));
    entries[at] = (float)entry;
    exits[at] = (float)leave;
}

// Add the paths of the images of one solid: out (N, solids, height, width), zero before.
extern "C" __global__ void add_solids(
    const float* __restrict__ paths, const int* __restrict__ solid_of_image,
    const int images_a_frame, const int solids, const int height, const int width,
    float* __restrict__ out) {
    const int column = blockIdx.x * blockDim.x + threadIdx.x;
    const int row = blockIdx.y * blockDim.y + threadIdx.y;
    const long long frame = blockIdx.z;
    if (column >= width || row >= height) return;
    const long long size = (long long)height * width, place = (long long)row * width + column;
    for (int i = 0; i < images_a_frame; ++i) {
        const int solid = solid_of_image[frame * images_a_frame + i];
        if (solid >= 0)
            out[(frame * solids + solid) * size + place] +=
                paths[(frame * images_a_frame + i) * size + place];
    }
}

// Fill mask (N, rows, columns) inside the box with the label of the longest path of at least
// least_m; labels (N, images_a_frame), 0 is none.
extern "C" __global__ void label_pixels(
    const float* __restrict__ paths, const int* __restrict__ labels, const int images_a_frame,
    const int top, const int left, const int height, const int width, const int rows,
    const int columns, const float least_m, unsigned char* __restrict__ mask) {
    const int column = blockIdx.x * blockDim.x + threadIdx.x;
    const int row = blockIdx.y * blockDim.y + threadIdx.y;
    const long long frame = blockIdx.z;
    if (column >= width || row >= height) return;
    const long long size = (long long)height * width, place = (long long)row * width + column;
    float longest = least_m;
    int label = 0;
    for (int i = 0; i < images_a_frame; ++i) {
        const float path = paths[(frame * images_a_frame + i) * size + place];
        if (labels[frame * images_a_frame + i] && path > longest) {
            longest = path;
            label = labels[frame * images_a_frame + i];
        }
    }
    mask[(frame * rows + top + row) * columns + left + column] = (unsigned char)label;
}
