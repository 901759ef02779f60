// Greedy and sampled tokens and log-probabilities from logits, as dev.nosa.sample.Sampler.
#include "common.cuh"

constexpr int SAMPLE_THREADS = 1024;
constexpr int SAMPLE_WARPS = SAMPLE_THREADS / 32;
constexpr float LARGEST_FLOAT = 3.402823466e38f;
constexpr unsigned NOT_FINITE = 0xffffffff;  // above score_key of every number

using RankedToken = unsigned long long;  // key of the logit, then the inverse of the token: the lowest is the largest

__device__ __forceinline__ RankedToken rank_token(unsigned key, int token) {
    return (unsigned long long)key << 32 | ~unsigned(token);
}
__device__ __forceinline__ unsigned key_of(RankedToken ranked) { return ranked >> 32; }
__device__ __forceinline__ int token_of(RankedToken ranked) { return int(~unsigned(ranked)); }

// The largest of a row's logits, the lowest token among equals; or the first that is not finite. All threads get it.
// highest and lowest: of the logits that this thread looked at, infinite where it had none.
__device__ __forceinline__ RankedToken best_token(
    const float* logits, int vocabulary, float& highest, float& lowest) {
    __shared__ RankedToken warp_best[SAMPLE_WARPS];
    int token = -1, bad = -1;
    highest = -INFINITY;
    lowest = INFINITY;
#pragma unroll 8
    for (int t = threadIdx.x; t < vocabulary; t += SAMPLE_THREADS) {
        float x = logits[t];
        bool finite = fabsf(x) <= LARGEST_FLOAT;
        bad = !finite && bad < 0 ? t : bad;
        bool higher = finite && x > highest;
        highest = higher ? x : highest;
        lowest = fminf(lowest, x);
        token = higher ? t : token;
    }
    RankedToken best = 0;
    if (bad >= 0) best = rank_token(NOT_FINITE, bad);
    else if (token >= 0) best = rank_token(score_key(highest), token);
    for (int distance = 16; distance > 0; distance /= 2) {
        best = max(best, __shfl_xor_sync(ALL_LANES, best, distance));
    }
    if (threadIdx.x % 32 == 0) warp_best[threadIdx.x / 32] = best;
    __syncthreads();
    for (int w = 0; w < SAMPLE_WARPS; w++) best = max(best, warp_best[w]);
    return best;
}
__device__ __forceinline__ RankedToken best_token(const float* logits, int vocabulary) {
    float highest, lowest;
    return best_token(logits, vocabulary, highest, lowest);
}

// The token with the largest logit, the lowest among equals; -1 - t where the logit of token t, the first such, is not
// finite.
//
// logits f32 [rows][vocabulary], result int [rows].
// Grid: rows; block: 1024. Reads 4 * vocabulary bytes a row.
extern "C" __global__ void __launch_bounds__(SAMPLE_THREADS) arg_max(const float* logits, int vocabulary, int* result) {
    RankedToken best = best_token(logits + (long long)blockIdx.x * vocabulary, vocabulary);
    if (threadIdx.x == 0) result[blockIdx.x] = key_of(best) == NOT_FINITE ? -1 - token_of(best) : token_of(best);
}

// result[i] = log softmax(logits[rows[i]])[tokens[i]]; NaN where a logit of the row is not finite. Each thread adds its
// exponentials up with compensation, and the threads' sums are added as F64.
//
// logits f32 [..][vocabulary]; rows and tokens int [n], result f32 [n].
// Grid: n; block: 1024. Reads 4 * vocabulary bytes, and again from L2.
extern "C" __global__ void __launch_bounds__(SAMPLE_THREADS) log_probs(
    const float* logits, int vocabulary, const int* rows, const int* tokens, float* result) {
    __shared__ double warp_sums[SAMPLE_WARPS];
    logits += (long long)rows[blockIdx.x] * vocabulary;
    RankedToken best = best_token(logits, vocabulary);
    if (key_of(best) == NOT_FINITE) {
        if (threadIdx.x == 0) result[blockIdx.x] = NAN;
        return;
    }
    const float highest = logits[token_of(best)];
    float sum = 0, excess = 0;  // what the sum has too much
#pragma unroll 4
    for (int t = threadIdx.x; t < vocabulary; t += SAMPLE_THREADS) {
        float x = expf(logits[t] - highest) - excess;
        float next = sum + x;
        excess = (next - sum) - x;
        sum = next;
    }
    double total = double(sum) - excess;
    for (int distance = 16; distance > 0; distance /= 2) total += __shfl_xor_sync(ALL_LANES, total, distance);
    if (threadIdx.x % 32 == 0) warp_sums[threadIdx.x / 32] = total;
    __syncthreads();
    if (threadIdx.x > 0) return;
    total = 0;
    for (int w = 0; w < SAMPLE_WARPS; w++) total += warp_sums[w];
    result[blockIdx.x] = float(double(logits[tokens[blockIdx.x]]) - (highest + log(total)));
}

// How to sample, as TokenKernels.java writes it.
struct Choice {
    int row;
    int top_k;  // 0: all
    float temperature;  // above 0
    float top_p;
    double random;  // in [0, 1)
};

// Sums of weights are exact, so that they depend on no order: a weight is rounded to a whole number of units, of which
// the best token has 2^(31 + leading zeros of the vocabulary's size), 2^46 for 73,448 tokens. Those of all tokens
// together stay below 2^63. A token below half a unit has none, and is never drawn.
using Mass = unsigned long long;

// Orders as the tokens are to be taken, the largest first: key of the score, then the lowest token.
using Rank = unsigned long long;

constexpr int SAMPLE_LOADS = 8;                // of a thread at once
constexpr int BUCKETS = 2 * SAMPLE_THREADS;    // two a thread
constexpr int LISTED = 2 * SAMPLE_THREADS;     // half for the tokens of a bucket, half for those above it
constexpr double LEAST_EXPONENT = -34;         // weights below are less than half a unit, or a 2^49th of the best
enum Goal { TOP_K, TOP_P, DRAW };

struct SampledRow {
    const float* logits;
    int vocabulary, token_bits;
    float highest;
    double per_temperature, unit;

    __device__ __forceinline__ Mass weight(float score) const {
        double exponent = (double(score) - highest) * per_temperature;
        return exponent < LEAST_EXPONENT ? 0 : Mass(fma(exp(exponent), unit, 0.5));
    }
    __device__ __forceinline__ Rank rank(float score, int token) const {
        return Rank(score_key(score)) << token_bits | unsigned(vocabulary - 1 - token);
    }
    __device__ __forceinline__ int token(Rank rank) const {
        return vocabulary - 1 - int(rank & ((Rank(1) << token_bits) - 1));
    }
};

__device__ __forceinline__ float score_of(unsigned key) {
    return __uint_as_float(key & 0x80000000 ? key ^ 0x80000000 : ~key);
}

// Calls use(token, logit) for tokens first, first + stride and so on below end.
template <class Use>
__device__ __forceinline__ void each_logit(const float* logits, int first, int stride, int end, Use use) {
    for (; first < end; first += SAMPLE_LOADS * stride) {
        float x[SAMPLE_LOADS];
#pragma unroll
        for (int i = 0; i < SAMPLE_LOADS; i++) x[i] = first + i * stride < end ? logits[first + i * stride] : 0;
#pragma unroll
        for (int i = 0; i < SAMPLE_LOADS; i++) {
            if (first + i * stride < end) use(first + i * stride, x[i]);
        }
    }
}

// The least of the threads' numbers; all get it.
__device__ __forceinline__ float least_of(float x) {
    __shared__ float warp_least[SAMPLE_WARPS];
    for (int distance = 16; distance > 0; distance /= 2) x = fminf(x, __shfl_xor_sync(ALL_LANES, x, distance));
    if (threadIdx.x % 32 == 0) warp_least[threadIdx.x / 32] = x;
    __syncthreads();
    for (int w = 0; w < SAMPLE_WARPS; w++) x = fminf(x, warp_least[w]);
    return x;
}

__device__ __forceinline__ Mass warp_total(Mass x) {
    for (int distance = 16; distance > 0; distance /= 2) x += __shfl_xor_sync(ALL_LANES, x, distance);
    return x;
}

// What the goal needs of a sum: k tokens, the nucleus's mass, or more than the random share.
__device__ __forceinline__ Mass needed(Goal goal, const Choice& choice, Mass total) {
    if (goal == TOP_K) return choice.top_k;
    Mass need = goal == TOP_P ? Mass(ceil(choice.top_p * double(total))) : Mass(choice.random * double(total)) + 1;
    return min(need, total);
}

struct Crossing {
    int index;
    Mass before, through;  // sums without and with the element
};

// Two masses a thread, in order: the one with which their sum reaches `need`, which is set from the sum of all where it
// is 0. All threads get it.
__device__ __forceinline__ Crossing cross(Mass first, Mass second, Goal goal, const Choice& choice, Mass& need) {
    __shared__ Mass warp_sums[SAMPLE_WARPS];
    __shared__ Crossing crossing;
    Mass sum = first + second;
    for (int distance = 1; distance < 32; distance *= 2) {
        Mass lower = __shfl_up_sync(ALL_LANES, sum, distance);
        if (threadIdx.x % 32 >= distance) sum += lower;
    }
    if (threadIdx.x % 32 == 31) warp_sums[threadIdx.x / 32] = sum;
    __syncthreads();
    Mass total = 0;
    for (int w = 0; w < SAMPLE_WARPS; w++) {
        if (w == threadIdx.x / 32) sum += total;
        total += warp_sums[w];
    }
    if (need == 0) need = needed(goal, choice, total);
    Mass before = sum - second - first;
    if (before < need && need <= sum) {
        bool one = need <= before + first;
        crossing.index = 2 * threadIdx.x + !one;
        crossing.before = one ? before : before + first;
        crossing.through = one ? before + first : sum;
    }
    __syncthreads();
    return crossing;  // not written again before a barrier that follows
}

// The draw among all tokens, in the order of their numbers: the warps' shares of the vocabulary, then those of the
// share that decides.
__device__ __forceinline__ int draw_by_token(const SampledRow& row, const Choice& choice) {
    int from = 0, end = row.vocabulary;
    Mass need = 0;
    for (;;) {
        int share = (end - from + SAMPLE_WARPS - 1) / SAMPLE_WARPS;
        int mine = min(from + int(threadIdx.x) / 32 * share, end);
        Mass mass = 0;
        each_logit(row.logits, mine + threadIdx.x % 32, 32, min(mine + share, end), [&](int, float x) {
            mass += row.weight(x);
        });
        mass = warp_total(mass);
        Crossing crossing = cross(threadIdx.x % 32 == 0 ? mass : 0, 0, DRAW, choice, need);
        need -= crossing.before;
        from += crossing.index / 64 * share;
        end = min(from + share, end);
        if (share == 1) return from;
    }
}

struct SampleMemory {
    unsigned low[BUCKETS], high[BUCKETS];  // masses
    Rank list[LISTED];                     // first those above the bucket
    int above, inside;                     // how many there are, or more than have room
};

__device__ __forceinline__ void clear_buckets(SampleMemory& memory) {
    for (int b = threadIdx.x; b < BUCKETS; b += SAMPLE_THREADS) memory.low[b] = memory.high[b] = 0;
    __syncthreads();
}
__device__ __forceinline__ void add_mass(SampleMemory& memory, int bucket, Mass mass) {
    unsigned low = unsigned(mass);
    bool carry = low != 0 && atomicAdd(&memory.low[bucket], low) + low < low;
    unsigned high = unsigned(mass >> 32) + carry;
    if (high != 0) atomicAdd(&memory.high[bucket], high);
}
__device__ __forceinline__ Mass mass_of(const SampleMemory& memory, int bucket) {
    return Mass(memory.high[bucket]) << 32 | memory.low[bucket];
}

// Buckets of equal width from the highest logit down, the last for all the rest.
__device__ __forceinline__ int bucket_of(float score, float highest, float per_width) {
    return int(fminf((highest - score) * per_width, BUCKETS - 1));  // fminf: also where the product is not a number
}

// The least key of buckets 0 to `bucket`, or the one after the highest logit's. Each warp searches: among 32 keys, then
// among 32 between the last that is too low and the next, and so on.
__device__ __forceinline__ unsigned least_key(float highest, float per_width, int bucket) {
    unsigned least = score_key(-LARGEST_FLOAT);
    for (int shift = 27;; shift = max(shift - 5, 0)) {
        unsigned key = least + (threadIdx.x % 32 << shift);
        bool low = key >= least && key <= score_key(highest) && bucket_of(score_of(key), highest, per_width) > bucket;
        int lower = __popc(__ballot_sync(ALL_LANES, low));
        if (shift == 0) return least + lower;
        least += unsigned(max(lower - 1, 0)) << shift;
    }
}

// Lists the ranks from low to high, and those above too where these are few, the largest first and then zeros. False
// where the former are too many. Zero is below every rank.
__device__ __forceinline__ bool list_ranks(
    SampleMemory& memory, const SampledRow& row, Rank low, Rank high, bool& all) {
    constexpr int HALF = LISTED / 2;
    if (threadIdx.x == 0) memory.above = memory.inside = 0;
    __syncthreads();
    each_logit(row.logits, threadIdx.x, SAMPLE_THREADS, row.vocabulary, [&](int t, float x) {
        Rank rank = row.rank(x, t);
        if (rank < low) return;
        int* count = rank > high ? &memory.above : &memory.inside;
        if (*(volatile int*)count > HALF) return;
        int at = atomicAdd(count, 1);
        if (at < HALF) memory.list[rank > high ? at : HALF + at] = rank;
    });
    __syncthreads();
    int inside = memory.inside;
    all = memory.above <= HALF;
    if (inside > HALF) return false;
    int above = all ? memory.above : 0, size = 2;
    while (size < above + inside) size *= 2;
    Rank rank = threadIdx.x < inside ? memory.list[HALF + threadIdx.x] : 0;
    __syncthreads();
    if (threadIdx.x < inside) memory.list[above + threadIdx.x] = rank;
    for (int i = above + inside + threadIdx.x; i < LISTED; i += SAMPLE_THREADS) memory.list[i] = 0;
    __syncthreads();
    for (int width = 2; width <= size; width *= 2) {
        for (int distance = width / 2; distance > 0; distance /= 2) {
            if (distance >= 32) __syncthreads();
            else __syncwarp();  // a warp has 64 places to itself
            if (threadIdx.x >= size / 2) continue;
            int i = 2 * threadIdx.x - (threadIdx.x & (distance - 1));
            Rank one = memory.list[i], other = memory.list[i + distance];
            if ((one < other) == ((i & width) == 0)) {
                memory.list[i] = other;
                memory.list[i + distance] = one;
            }
        }
    }
    __syncthreads();
    return true;
}

// What one search leaves to the next, which has fewer tokens.
struct Search {
    Rank cut = 0;                  // the least rank taken
    Rank listed_from = ~Rank(0);   // all ranks from there on are in the list
    int last_bucket = -1;          // the buckets up to it are filled with weights; -1: none
    Mass last_mass = 0;            // of the last bucket's tokens from the cut on
};

// Finds the token with which those from the cut on, the largest rank first, reach the goal, and makes it the cut. First
// the bucket in which that happens; narrower ones within it as long as it has too many tokens; then in a sorted list.
//
// reach: what lies further below the highest logit is in one bucket.
__device__ __forceinline__ void find(
    SampleMemory& memory, const SampledRow& row, const Choice& choice, Goal goal, float reach, Search& search) {
    const int first = 2 * threadIdx.x, second = first + 1;
    Mass need = 0, above = 0;
    auto mass_of_token = [&](float score) { return goal == TOP_K ? Mass(1) : row.weight(score); };
    bool in_list = search.listed_from <= search.cut;
    int bucket = -1;
    if (!in_list) {
        const float per_width = (BUCKETS - 1) / reach;
        if (search.last_bucket < 0) {
            clear_buckets(memory);
            Mass rest = 0;
            each_logit(row.logits, threadIdx.x, SAMPLE_THREADS, row.vocabulary, [&](int t, float x) {
                if (row.rank(x, t) < search.cut) return;
                int b = bucket_of(x, row.highest, per_width);
                Mass mass = mass_of_token(x);
                if (b == BUCKETS - 1) rest += mass;
                else add_mass(memory, b, mass);
            });
            rest = warp_total(rest);
            if (threadIdx.x % 32 == 0) add_mass(memory, BUCKETS - 1, rest);
            __syncthreads();
            search.last_bucket = BUCKETS - 1;
            search.last_mass = mass_of(memory, BUCKETS - 1);
        }
        auto left = [&](int b) {
            return b < search.last_bucket ? mass_of(memory, b) : b == search.last_bucket ? search.last_mass : 0;
        };
        Crossing crossing = cross(left(first), left(second), goal, choice, need);
        bucket = crossing.index;
        above = crossing.before;
        Rank low = Rank(least_key(row.highest, per_width, bucket)) << row.token_bits;
        Rank high = (Rank(least_key(row.highest, per_width, bucket - 1)) << row.token_bits) - 1;
        bool all;
        while (!list_ranks(memory, row, low, high, all)) {
            bucket = -1;
            int shift = max(0, 64 - __clzll(high - low) - 11);  // 2^11 buckets
            clear_buckets(memory);
            each_logit(row.logits, threadIdx.x, SAMPLE_THREADS, row.vocabulary, [&](int t, float x) {
                Rank rank = row.rank(x, t);
                if (rank >= low && rank <= high) add_mass(memory, int((high - rank) >> shift), mass_of_token(x));
            });
            __syncthreads();
            need -= above;
            crossing = cross(mass_of(memory, first), mass_of(memory, second), goal, choice, need);
            need += above;
            above += crossing.before;
            high -= Rank(crossing.index) << shift;
            Rank width = (Rank(1) << shift) - 1;
            low = high - low > width ? high - width : low;
        }
        search.listed_from = all ? low : ~Rank(0);
        if (all) above = 0;
    }
    auto listed = [&](int i) {
        Rank rank = memory.list[i];
        return rank == 0 || rank < search.cut ? 0 : mass_of_token(score_of(unsigned(rank >> row.token_bits)));
    };
    need -= above;  // 0 only where it is not known yet
    Crossing crossing = cross(listed(first), listed(second), goal, choice, need);
    search.cut = memory.list[crossing.index];
    search.last_bucket = goal == TOP_K ? -1 : bucket;
    search.last_mass = crossing.through;
}

// result[i] = the token that Sampler.sample picks for choices[i], without repetition penalty; -1 - t where the logit of
// token t, the first such, is not finite.
//
// logits f32 [..][vocabulary], result int [n].
// Grid: n; block: 1024. Reads 4 * vocabulary bytes, and once again from L2 without top-k and top-p, else mostly twice.
extern "C" __global__ void __launch_bounds__(SAMPLE_THREADS) sample(
    const float* logits, int vocabulary, const Choice* choices, int* result) {
    __shared__ SampleMemory memory;
    const Choice choice = choices[blockIdx.x];
    logits += (long long)choice.row * vocabulary;
    float highest, lowest;
    RankedToken best = best_token(logits, vocabulary, highest, lowest);
    if (key_of(best) == NOT_FINITE) {
        if (threadIdx.x == 0) result[blockIdx.x] = -1 - token_of(best);
        return;
    }
    const SampledRow row = {
        logits,
        vocabulary,
        32 - __clz(vocabulary - 1),
        logits[token_of(best)] + 0.0f,  // never -0
        1.0 / choice.temperature,
        double(Mass(1) << (31 + __clz(vocabulary)))};
    const bool top_k = choice.top_k > 0 && choice.top_k < vocabulary, top_p = choice.top_p < 1;
    if (!top_k && !top_p) {
        int token = draw_by_token(row, choice);
        if (threadIdx.x == 0) result[blockIdx.x] = token;
        return;
    }
    // None of so many best is below the least of the threads' highest, -infinity where a thread has no token.
    float mine = choice.top_k <= SAMPLE_THREADS ? highest : lowest;
    float bound = least_of(mine);
    // Tokens below weigh less than what the nucleus may leave out, or nothing.
    float reach = choice.temperature * fminf(logf(vocabulary / (1 - choice.top_p)), -LEAST_EXPONENT);
    Search search;
#pragma unroll 1
    for (int goal = top_k ? TOP_K : TOP_P; goal <= DRAW; goal++) {
        if (goal == TOP_P && !top_p) continue;
        find(memory, row, choice, Goal(goal), goal == TOP_K ? row.highest - bound : reach, search);
    }
    if (threadIdx.x == 0) result[blockIdx.x] = row.token(search.cut);
}
