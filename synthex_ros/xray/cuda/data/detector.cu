// The detector pass: scatter, quantum noise, light spread, lag, pixel gains, read-out.
//
// Randomness is that of detector_kernels.py, number for number: a pixel hashes its index with the
// frame's key. A seed gives the same frame here and on the CPU, but for the rounding of a count.

#define POISSON_BELOW_QUANTA 20.0f
#define POISSON_STREAM 0xA5A5A5A5A5A5A5A5ULL
#define READ_OUT_STREAM 0x5BF0363529C6D5E1ULL

typedef unsigned long long Bits;

// SplitMix64: Steele, Lea and Flood, OOPSLA 2014.
__device__ inline Bits hash_of(Bits key, Bits index) {
    Bits z = key + (index + 1) * 0x9E3779B97F4A7C15ULL;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    return z ^ (z >> 31);
}

__device__ inline Bits place_of(int row, int column) {
    return ((Bits)row << 32) + (Bits)column;
}

// A unit normal number; four neighbours of a row share a hash.
__device__ inline float normal_of(
    const float* normals, int normal_count, Bits key, int row, int column) {
    const Bits bits = hash_of(key, place_of(row, column / 4));
    return normals[(bits >> (16 * (column % 4))) & (Bits)(normal_count - 1)];
}

__device__ inline double poisson_of(double mean, Bits bits) {
    const double uniform = ((double)bits + 0.5) / 4294967296.0;
    double count = 0.0, term = exp(-mean), total = term;
    while (uniform > total && count < 200.0) {
        count += 1.0;
        term *= mean / count;
        total += term;
    }
    return count;
}

// Value of a coarse map (height, width) at a pixel of an image (rows, columns), linear.
__device__ inline float coarse_at(
    const float* map, int height, int width, int row, int column, int rows, int columns) {
    const double x = fmin(fmax((column + 0.5) * width / columns - 0.5, 0.0), width - 1.0);
    const double y = fmin(fmax((row + 0.5) * height / rows - 0.5, 0.0), height - 1.0);
    const int i = min((int)x, width - 2), j = min((int)y, height - 2);
    const float fx = (float)(x - i), fy = (float)(y - j);
    const float *above = map + j * width + i, *below = above + width;
    const float upper = above[0] + fx * (above[1] - above[0]);
    return upper + fy * (below[0] + fx * (below[1] - below[0]) - upper);
}

// Fill out (N, rows, columns) with what the pixels absorb [keV].
//
// scatter (N, height, width) [keV], height 0 is none; scatter_kev: mean energy of its quanta (N);
// light: variance per quantum variance, 0 leaves noise out; keys (N).
extern "C" __global__ void absorb(
    const float* __restrict__ signal, const float* __restrict__ variance,
    const float* __restrict__ scatter, const float* __restrict__ scatter_kev, const int height,
    const int width, const float light, const Bits* __restrict__ keys,
    const float* __restrict__ normals, const int normal_count, const int rows, const int columns,
    float* __restrict__ out) {
    const int column = blockIdx.x * blockDim.x + threadIdx.x;
    const int row = blockIdx.y * blockDim.y + threadIdx.y;
    const long long frame = blockIdx.z;
    if (column >= columns || row >= rows) return;
    const long long at = (frame * rows + row) * columns + column;
    float mean = signal[at], spread = variance[at];
    if (height > 0) {
        const float* map = scatter + frame * height * width;
        const float value = coarse_at(map, height, width, row, column, rows, columns);
        mean += value;
        spread += value * scatter_kev[frame];
    }
    spread *= light;
    float absorbed = 0.0f;
    if (mean > 0.0f && mean * mean < spread * POISSON_BELOW_QUANTA) {
        const Bits bits = hash_of(keys[frame] ^ POISSON_STREAM, place_of(row, column));
        const double quanta = (double)mean * mean / spread;
        absorbed = (float)(poisson_of(quanta, bits >> 32) * (spread / mean));
    } else if (mean > 0.0f) {
        const float noise = normal_of(normals, normal_count, keys[frame], row, column);
        absorbed = mean + sqrtf(fmaxf(spread, 0.0f)) * noise;
    }
    out[at] = absorbed;
}

// Fill out (N, rows, columns) with the light spread along columns; edges are repeated.
extern "C" __global__ void spread_down(
    const float* __restrict__ absorbed, const float* __restrict__ taps, const int tap_count,
    const int rows, const int columns, float* __restrict__ out) {
    const int column = blockIdx.x * blockDim.x + threadIdx.x;
    const int row = blockIdx.y * blockDim.y + threadIdx.y;
    const long long frame = blockIdx.z;
    if (column >= columns || row >= rows) return;
    const float* image = absorbed + frame * rows * columns;
    float value = 0.0f;
    for (int tap = 0; tap < tap_count; ++tap) {
        const int r = min(max(row - tap_count / 2 + tap, 0), rows - 1);
        value += taps[tap] * image[(long long)r * columns + column];
    }
    out[(frame * rows + row) * columns + column] = value;
}

// Fill counts (N, rows, columns): light spread along rows, lag, pixel gains, electronic noise.
//
// states (terms, rows, columns), shares and decays (terms) are the lag of one detector (N = 1);
// terms 0 is none. gain_map and offset_map (rows, columns) hold if mapped; gains (N) in counts/keV.
extern "C" __global__ void read_out(
    const float* __restrict__ lines, const float* __restrict__ taps, const int tap_count,
    const int terms, float* __restrict__ states, const float* __restrict__ shares,
    const float* __restrict__ decays, const int mapped, const float* __restrict__ gain_map,
    const float* __restrict__ offset_map, const float* __restrict__ gains,
    const float noise_counts, const Bits* __restrict__ keys, const float* __restrict__ normals,
    const int normal_count, const float full_scale, const int rows, const int columns,
    unsigned short* __restrict__ counts) {
    const int column = blockIdx.x * blockDim.x + threadIdx.x;
    const int row = blockIdx.y * blockDim.y + threadIdx.y;
    const long long frame = blockIdx.z;
    if (column >= columns || row >= rows) return;
    const long long place = (long long)row * columns + column;
    const float* line = lines + (frame * rows + row) * columns;
    float value = 0.0f;
    for (int tap = 0; tap < tap_count; ++tap)
        value += taps[tap] * line[min(max(column - tap_count / 2 + tap, 0), columns - 1)];
    const float raw = value;
    for (int term = 0; term < terms; ++term) {
        float* state = states + (long long)term * rows * columns + place;
        const float old = decays[term] * *state;
        value += shares[term] * (old - decays[term] * raw);
        *state = old + (1.0f - decays[term]) * raw;
    }
    if (mapped) value = value * gain_map[place] + offset_map[place] / gains[frame];
    const float noise = normal_of(normals, normal_count, keys[frame] ^ READ_OUT_STREAM, row, column);
    const float level = gains[frame] * value + noise_counts * noise + 0.5f;
    counts[frame * rows * columns + place] = (unsigned short)fminf(fmaxf(level, 0.0f), full_scale);
}
